// Elements and text. Values from records only ever become text nodes, never markup.

/** An element: `el("a.tag", {href: "#"}, "text", child)`. Properties that begin with `on` listen. */
export function el(what, properties = {}, ...children) {
  const [name, ...classes] = what.split(".");
  const node = document.createElement(name || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node && key !== "list") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** A table; each column is `{title, value(row), right}`. Rows can be chosen if `choose` is given. */
export function table(columns, rows, choose) {
  const head = el("tr", {}, columns.map((c) => el(c.right ? "th.right" : "th", { scope: "col" }, c.title)));
  const body = rows.map((row) => {
    const cells = columns.map((column) => {
      const value = column.value(row);
      const text = value instanceof Node ? value : String(value ?? "");
      const title = typeof text === "string" && text.length > 40 ? text : undefined;
      return el(column.right ? "td.right" : "td", { title }, text);
    });
    if (!choose) return el("tr", {}, cells);
    const act = () => {
      for (const chosen of line.parentNode.querySelectorAll("[aria-current]")) chosen.removeAttribute("aria-current");
      line.setAttribute("aria-current", "true");
      choose(row);
    };
    const onkeydown = (event) => {
      if (event.key === "Enter") return act();
      const next = { ArrowDown: line.nextSibling, ArrowUp: line.previousSibling }[event.key];
      if (!next) return;
      event.preventDefault();
      next.focus();
    };
    const line = el("tr.link", { tabIndex: 0, onclick: act, onkeydown }, cells);
    return line;
  });
  return el("div.scroll", {}, el("table", {}, el("thead", {}, head), el("tbody", {}, body)));
}

/** A row of numbers with what they are. */
export function numbers(pairs) {
  return el("div.numbers", {}, pairs.map(([value, name]) => el("div.number", {}, el("b", {}, value), el("span", {}, name))));
}

/** The address of the page that is shown: the browser's is another one between a navigation and its event. */
let shown = "";

/** Says that the page of the present address is shown from now on. */
export function arrived() { shown = location.hash; }

/** Keeps what a form asks for in the address, so that it can be opened again and sent to others; not if the
 * form is of a page that was left while it was loading. */
export function remember(form, parameters) {
  if (!form.isConnected || location.hash !== shown) return;
  const [path] = location.hash.split("?");
  const given = Object.entries(parameters).filter(([, value]) => value !== "");
  const text = new URLSearchParams(given).toString();
  history.replaceState(null, "", text ? `${path}?${text}` : path);
  arrived();
}

export function labelled(text, input, kind = "label") {
  return el(kind, {}, text, input);
}

/** What a request said when it failed, in place. */
export function problem(error) {
  return el("div.problem", { role: "alert" }, error.message || String(error));
}

/** Says at a field of a form what is wrong with it; false if the form has no such field. */
export function blame(form, error) {
  const field = form.elements.namedItem(error.field || "");
  if (!field) return false;
  const said = el("span.wrong", { role: "alert", id: `wrong-${error.field}` }, error.message);
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", said.id);
  field.after(said);
  field.focus();
  return true;
}

/** Takes back what `blame` said. */
export function forgive(form) {
  for (const field of form.elements) ["aria-invalid", "aria-describedby"].forEach((name) => field.removeAttribute(name));
  for (const said of form.querySelectorAll(".wrong")) said.remove();
}

/** Shows that what stands in `box` is old while something new is asked for. */
export async function busy(box, asking) {
  box.setAttribute("aria-busy", "true");
  try { return await asking(); } finally { box.removeAttribute("aria-busy"); }
}

/** A message that goes away. */
export function notice(text) {
  const node = el("div.notice", {}, text);
  document.getElementById("notices").append(node);
  setTimeout(() => node.remove(), 5000);
}

const whole = new Intl.NumberFormat("en");
export const count = (n) => whole.format(n);

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (n >= 1024 && at < units.length - 1) [n, at] = [n / 1024, at + 1];
  return `${at && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[at]}`;
}

export function micros(us) {
  if (us === null || us === undefined) return "–";
  if (us < 1000) return `${us < 10 ? us.toFixed(1) : Math.round(us)} µs`;
  return us < 1e6 ? `${(us / 1e3).toFixed(us < 1e4 ? 2 : 1)} ms` : `${(us / 1e6).toFixed(2)} s`;
}

export function percent(share) {
  if (share === 0 || share === 1) return `${share * 100} %`;
  return `${(share * 100).toPrecision(share < 0.0001 ? 1 : 2)} %`;
}

/** A metadata value in a table's cell. */
export function cell(value) {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value) && value.every((v) => typeof v !== "object")) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
