// Requests to the server that sent this page. The key, if one is needed, is asked for once and kept
// until the tab is closed.

import { el } from "/ui/dom.js";

const KEY = "vecstore-key";

export const hasKey = () => sessionStorage.getItem(KEY) !== null;
export const forgetKey = () => sessionStorage.removeItem(KEY);

/** An answer that is not what was asked for: `message`, `field` if one is to blame, `status`. */
export class Refused extends Error {
  constructor(status, body) {
    super(body.message || body.detail || body.title || `the server answered ${status}`);
    this.status = status;
    this.field = body.field;
    this.code = body.code;
  }
}

function askForKey(why) {
  return new Promise((resolve) => {
    const input = el("input", { type: "password", autocomplete: "off", required: true });
    const dialog = el("dialog.card", {},
      el("form", { method: "dialog", onsubmit: () => { sessionStorage.setItem(KEY, input.value.trim()); } },
        el("p", {}, why),
        el("label", {}, "API key", input),
        el("p", {}, el("button.main", {}, "Use this key"))));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(hasKey()); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

async function send(method, path, body, signal) {
  for (;;) {
    const headers = {};
    if (body !== undefined) headers["content-type"] = "application/json";
    if (hasKey()) headers.authorization = `Bearer ${sessionStorage.getItem(KEY)}`;
    const sent = body === undefined ? undefined : encode(body);
    const response = await fetch(path, { method, headers, body: sent, signal });
    if (response.ok) return response;
    const text = await response.text();
    let refused;
    try { refused = new Refused(response.status, JSON.parse(text)); }
    catch { refused = new Refused(response.status, { message: text || response.statusText }); }
    if (response.status !== 401) throw refused;
    forgetKey();
    if (!(await askForKey(refused.message))) throw refused;
  }
}

// Ids are integers of up to 64 bits, which JavaScript's numbers are not: they travel as text in
// `Whole` and are written and read digit by digit.

/** Whether this browser gives the digits of a number as they were sent. */
export let exactNumbers = false;
JSON.parse("1", (_, value, context) => { exactNumbers = context?.source === "1" && Boolean(JSON.rawJSON); return value; });

/** An integer too large for a number. */
class Whole {
  constructor(digits) { this.digits = digits; }
  toString() { return this.digits; }
  toJSON() { return JSON.rawJSON(this.digits); }
}

function decode(text) {
  return JSON.parse(text, (_, value, context) => {
    const exact = typeof value !== "number" || Number.isSafeInteger(value) || !context?.source;
    return exact || !/^-?\d+$/.test(context.source) ? value : new Whole(context.source);
  });
}

const encode = (body) => JSON.stringify(body);

/** An id as typed: digits are an integer, anything else text. */
export function parseId(text) {
  const trimmed = text.trim();
  if (!/^\d+$/.test(trimmed)) return trimmed;
  const number = Number(trimmed);
  return Number.isSafeInteger(number) ? number : new Whole(trimmed);
}

const json = async (response) => decode(await response.text());
const collection = (name) => `/v1/collections/${encodeURIComponent(name)}`;

export const api = {
  collections: async () => (await json(await send("GET", "/v1/collections"))).collections,
  collection: async (name) => json(await send("GET", collection(name))),
  stats: async (name) => json(await send("GET", name === undefined ? "/v1/stats" : `${collection(name)}/stats`)),
  namespaces: async (name) => (await json(await send("GET", `${collection(name)}/namespaces`))).namespaces,
  scroll: async (name, body) => json(await send("POST", `${collection(name)}/records/scroll`, body)),
  record: async (name, body) => (await json(await send("POST", `${collection(name)}/records/get`, body))).records[0],
  count: async (name, body) => (await json(await send("POST", `${collection(name)}/count`, body))).count,
  query: async (name, body, signal) => json(await send("POST", `${collection(name)}/query`, body, signal)),
  optimize: async (name) => json(await send("POST", `${collection(name)}/optimize`)),
  tasks: async () => (await json(await send("GET", "/v1/tasks"))).tasks,
  task: async (id) => json(await send("GET", `/v1/tasks/${id}`)),
  cancel: async (id) => json(await send("DELETE", `/v1/tasks/${id}`)),
  snapshots: async () => (await json(await send("GET", "/v1/snapshots"))).snapshots,
  createSnapshot: async (name) => json(await send("PUT", `/v1/snapshots/${encodeURIComponent(name)}`)),
  metrics: async () => (await send("GET", "/metrics")).text(),
};
