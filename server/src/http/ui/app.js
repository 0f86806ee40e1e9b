// Which page the address asks for: #/c/NAME/TAB?parameters, #/server, or the collections.

import { api, exactNumbers, forgetKey, hasKey } from "/ui/api.js";
import { arrived, count, el, notice, problem, table } from "/ui/dom.js";
import { overview } from "/ui/overview.js";
import { query } from "/ui/query.js";
import { records } from "/ui/records.js";
import { server } from "/ui/server.js";

const TABS = { overview, records, query };

async function showCollections(chosen) {
  const all = await api.collections();
  document.getElementById("collections").replaceChildren(el("h2", {}, "Collections"),
    ...all.map((c) => el("a", { href: `#/c/${encodeURIComponent(c.name)}`, "aria-current": c.name === chosen ? "page" : null },
      el("span", {}, c.name), el("span.quiet", {}, count(c.records)))));
  return all;
}

async function home(main, all) {
  main.replaceChildren(el("h1", {}, "Collections"), el("p"),
    all.length ? table([
      { title: "name", value: (c) => c.name },
      { title: "records", right: true, value: (c) => count(c.records) },
      { title: "components", right: true, value: (c) => count(c.dim) },
      { title: "metric", value: (c) => c.metric },
    ], all, (c) => { location.hash = `#/c/${encodeURIComponent(c.name)}`; })
      : el("div.empty.card", {}, "No collections yet. ", el("code", {}, "PUT /v1/collections/docs"), " makes one."));
}

async function collection(main, name, tab, parameters) {
  const base = `#/c/${encodeURIComponent(name)}`;
  const body = el("div", {}, el("p.quiet.later", {}, "loading…"));
  main.replaceChildren(
    el("div.title", {}, el("h1", {}, name)),
    el("div.tabs", { role: "navigation" }, Object.keys(TABS).map((t) =>
      el("a", { href: `${base}/${t}`, "aria-current": t === tab ? "page" : null }, t[0].toUpperCase() + t.slice(1)))),
    body);
  await TABS[tab](body, name, parameters);
}

async function show() {
  arrived();
  const [path, parameters] = location.hash.replace(/^#\/?/, "").split("?");
  const [kind, name, tab] = path.split("/").map(decodeURIComponent);
  // What is still loading for the page before this one writes into what is no longer shown.
  const main = document.getElementById("main").cloneNode(false);
  document.getElementById("main").replaceWith(main);
  document.title = name ? `${name} · VecStore` : "VecStore";
  try {
    const all = await showCollections(kind === "c" ? name : undefined);
    if (kind === "c" && name) await collection(main, name, tab in TABS ? tab : "overview", new URLSearchParams(parameters));
    else if (kind === "server") await server(main);
    else await home(main, all);
  } catch (error) {
    main.append(problem(error));
  }
  document.getElementById("forget-key").hidden = !hasKey();
}

document.getElementById("forget-key").addEventListener("click", () => { forgetKey(); location.reload(); });
document.getElementById("where").textContent = location.host;
if (!exactNumbers) notice("This browser is too old to show whole numbers above 2^53 exactly.");
addEventListener("hashchange", show);
show();
