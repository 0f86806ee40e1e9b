// The records of a namespace, page by page, under a filter.

import { api } from "/ui/api.js";
import { blame, busy, cell, count, el, forgive, labelled, problem, remember, table } from "/ui/dom.js";

const PAGE = 50;
const COLUMNS_MAX = 9;

/** The columns of a table of records: the fields they have, those that most have first. */
function columns(records, more = []) {
  const seen = new Map();
  for (const record of records) {
    for (const field of Object.keys(record.metadata || {})) seen.set(field, (seen.get(field) || 0) + 1);
  }
  const fields = [...seen].sort((a, b) => b[1] - a[1]).slice(0, COLUMNS_MAX).map(([field]) => field);
  return [
    { title: "id", value: (r) => String(r.id) },
    ...more,
    ...fields.map((field) => ({
      title: field,
      right: records.every((r) => ["number", "undefined"].includes(typeof r.metadata?.[field])),
      value: (r) => cell(r.metadata?.[field]),
    })),
  ];
}

/** A table of records, and beside it the one that is chosen. */
export function browse(name, namespace, records, { more, empty, below }) {
  const split = el("div.split", { onkeydown: (event) => event.key === "Escape" && close() });
  const list = el("div", {}, records.length ? table(columns(records, more), records, choose) : el("div.empty.card", {}, empty), below);
  // The list stays where it is: what is taken out of a page loses the focus.
  const close = () => {
    split.querySelector(".detail")?.remove();
    const chosen = list.querySelector("[aria-current]");
    chosen?.removeAttribute("aria-current");
    chosen?.focus();
  };
  function choose(record) {
    const shown = detail(name, namespace, record, close);
    split.querySelector(".detail")?.remove();
    split.append(shown);
    // On a narrow page it stands below the table.
    shown.scrollIntoView({ block: "nearest" });
  }
  split.append(list);
  return split;
}

/** One record beside the table. */
function detail(name, namespace, record, close) {
  const like = `#/c/${encodeURIComponent(name)}/query?like=${encodeURIComponent(String(record.id))}&namespace=${encodeURIComponent(namespace)}`;
  return el("div.card.detail", {},
    el("div.title", {}, el("b", {}, String(record.id)), el("span.spring"), el("button.plain", { onclick: close }, "Close")),
    el("pre", {}, JSON.stringify(record.metadata ?? {}, null, 2)),
    el("a", { href: like }, "More like this"));
}

/** A choice of namespace; nothing where there is only the default one. */
export function namespaceChoice(namespaces, chosen) {
  if (namespaces.length < 2 && (namespaces[0]?.name ?? "") === "") return null;
  const names = namespaces.slice(0, 1000).map((n) => n.name);
  if (!names.includes(chosen)) names.unshift(chosen);
  return el("select", { name: "namespace" }, names.map((n) => el("option", { value: n, selected: n === chosen }, n || "(default)")));
}

export async function records(main, name, parameters) {
  const namespaces = await api.namespaces(name);
  const filter = el("input", { name: "filter", value: parameters.get("filter") || "", placeholder: "pos = 'n' AND gloss_len < 80", spellcheck: false, autocomplete: "off" });
  const start = parameters.get("namespace") ?? namespaces[0]?.name ?? "";
  const choice = namespaceChoice(namespaces, start);
  const results = el("div");
  const form = el("form.bar", { onsubmit: (event) => { event.preventDefault(); show([undefined]); } },
    labelled("Filter", filter, "label.wide"), choice ? labelled("Namespace", choice) : null, el("button.main", {}, "Show"));
  main.replaceChildren(form, results);

  /** `trail` has where each page up to this one begins. */
  async function show(trail) {
    forgive(form);
    const namespace = choice ? choice.value : start;
    const asked = { namespace, limit: PAGE, include: ["metadata"] };
    if (filter.value.trim()) asked.filter = filter.value.trim();
    remember(form, { filter: asked.filter ?? "", namespace });
    const after = trail[trail.length - 1];
    try {
      const counted = { namespace, filter: asked.filter };
      const [page, total] = await busy(results, () =>
        Promise.all([api.scroll(name, after === undefined ? asked : { ...asked, after }), api.count(name, counted)]));
      const first = (trail.length - 1) * PAGE;
      const below = el("div.paging", {},
        el("button", { disabled: trail.length === 1, onclick: () => show(trail.slice(0, -1)) }, "Previous"),
        el("button", { disabled: page.next === null || page.next === undefined, onclick: () => show([...trail, page.next]) }, "Next"),
        el("span.quiet", {}, page.records.length ? `${count(first + 1)}–${count(first + page.records.length)} of ${count(total)}` : ""));
      const empty = asked.filter ? "No record matches." : "No records here yet.";
      results.replaceChildren(browse(name, namespace, page.records, { empty, below }));
    } catch (error) {
      results.replaceChildren(...(blame(form, error) ? [] : [problem(error)]));
    }
  }
  await show([undefined]);
}
