// The server: live metrics, tasks and snapshots.

import { api } from "/ui/api.js";
import { blame, bytes, count, el, forgive, micros, notice, numbers, problem, table } from "/ui/dom.js";

const EVERY_MS = 2000;
const POINTS = 60;

/** Prometheus text as `[{name, labels, value}]`. */
export function parseMetrics(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const parts = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/i.exec(line);
    if (!parts) continue;
    const labels = {};
    for (const [, key, value] of (parts[2] || "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[key] = value;
    samples.push({ name: parts[1], labels, value: Number(parts[3]) });
  }
  return samples;
}

const sum = (samples, name, where = () => true) =>
  samples.filter((s) => s.name === name && where(s.labels)).reduce((total, s) => total + s.value, 0);

/** The time below which a share of the requests between two readings stayed, in µs. */
function quantile(before, now, share) {
  const buckets = new Map();
  for (const [samples, sign] of [[before, -1], [now, 1]]) {
    for (const s of samples) {
      if (s.name !== "vecstore_request_duration_seconds_bucket" || s.labels.operation === "metrics") continue;
      const bound = s.labels.le === "+Inf" ? Infinity : Number(s.labels.le);
      buckets.set(bound, (buckets.get(bound) || 0) + sign * s.value);
    }
  }
  const ordered = [...buckets].sort((a, b) => a[0] - b[0]);
  const total = ordered.at(-1)?.[1] || 0;
  if (!total) return null;
  const at = ordered.find(([, n]) => n >= share * total);
  return Number.isFinite(at[0]) ? at[0] * 1e6 : ordered.at(-2)[0] * 1e6;
}

function chart(points) {
  const svg = (name, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const most = Math.max(...points, Number.MIN_VALUE);
  const place = (value, at) => `${at + POINTS - points.length},${40 - (36 * value) / most}`;
  const picture = svg("svg", { viewBox: `0 0 ${POINTS - 1} 42`, preserveAspectRatio: "none", class: "chart", "aria-hidden": "true" });
  picture.append(svg("line", { x1: 0, x2: POINTS, y1: 40, y2: 40 }), svg("polyline", { points: points.map(place).join(" ") }));
  return picture;
}

function live(box) {
  let before = null;
  let at = 0;
  const history = { rate: [], p50: [], p99: [] };
  const keep = (points, value) => { points.push(value); if (points.length > POINTS) points.shift(); };
  async function read() {
    const samples = parseMetrics(await api.metrics());
    const now = performance.now();
    if (before) {
      const answered = (s) => sum(s, "vecstore_requests_total", (l) => l.operation !== "metrics");
      const rate = ((answered(samples) - answered(before)) * 1000) / (now - at);
      const [p50, p99] = [quantile(before, samples, 0.5), quantile(before, samples, 0.99)];
      keep(history.rate, rate); keep(history.p50, p50 ?? 0); keep(history.p99, p99 ?? 0);
      const card = (title, value, points) => el("div.card", {}, el("div.quiet", {}, title), el("b", {}, value), chart(points));
      const below = (us) => us === null ? "–" : `≤ ${micros(us)}`;
      box.replaceChildren(
        card("requests a second", rate.toFixed(rate < 10 ? 1 : 0), history.rate),
        card("half of the requests took", below(p50), history.p50),
        card("99 % of the requests took", below(p99), history.p99));
    }
    [before, at] = [samples, now];
    return samples;
  }
  return read;
}

export async function server(main) {
  const charts = el("div.charts", {}, el("div.card.quiet", {}, "measuring…"));
  const totals = el("div");
  const read = live(charts);
  const tasks = el("div");
  const snapshots = el("div");
  const name = el("input", { name: "name", required: true, placeholder: "name", autocomplete: "off" });
  const form = el("form.bar", {
    onsubmit: async (event) => {
      event.preventDefault();
      forgive(form);
      try { await api.createSnapshot(name.value.trim()); name.value = ""; notice("snapshot made"); await showSnapshots(); }
      catch (error) { blame(form, { field: "name", message: error.message }); }
    },
  }, el("label", {}, "New snapshot", name), el("button", {}, "Create"));

  async function showSnapshots() {
    const all = await api.snapshots();
    snapshots.replaceChildren(all.length ? table([
      { title: "name", value: (s) => s.name },
      { title: "made", value: (s) => new Date(s.created_unix_ms).toLocaleString() },
      { title: "records", right: true, value: (s) => count(s.records) },
      { title: "segments", right: true, value: (s) => count(s.segments) },
      { title: "bytes", right: true, value: (s) => bytes(s.bytes) },
    ], all) : el("div.empty.card", {}, "No snapshots."));
  }
  async function refresh() {
    const samples = await read();
    const errors = sum(samples, "vecstore_requests_total", (l) => l.outcome !== "ok");
    totals.replaceChildren(numbers([
      [count(sum(samples, "vecstore_requests_total")), "requests"],
      [count(errors), "of them refused or failed"],
      [count(sum(samples, "vecstore_connections")), "connections"],
      [`${count(sum(samples, "vecstore_pool_running"))} / ${count(sum(samples, "vecstore_pool_slots"))}`, "slots for calls in use"],
      [count(sum(samples, "vecstore_pool_waiting")), "calls that wait"],
      [count(sum(samples, "vecstore_records")), "records"],
      [bytes(sum(samples, "vecstore_bytes", (l) => l.kind === "segment")), "in segments"],
      [bytes(sum(samples, "vecstore_bytes", (l) => l.kind === "log")), "in the log"],
    ]));
    const all = (await api.tasks()).slice(-10).reverse();
    tasks.replaceChildren(all.length ? table([
      { title: "task", value: (t) => t.id },
      { title: "what", value: (t) => t.collection ? `${t.kind} ${t.collection}` : t.kind },
      { title: "state", value: (t) => t.state === "running" ? `${t.stage || "starting"} ${count(t.done)} / ${count(t.total)}` : t.state },
      { title: "seconds", right: true, value: (t) => t.seconds.toFixed(1) },
      { title: "error", value: (t) => t.error },
    ], all) : el("div.empty.card", {}, "No task has run."));
  }
  main.replaceChildren(el("h1", {}, "Server"), el("h2", {}, "Now"), charts, el("h2", {}, "Since the start"), totals,
    el("h2", {}, "Tasks"), tasks, el("h2", {}, "Snapshots"), form, snapshots);
  await Promise.all([showSnapshots(), refresh()]);
  const timer = setInterval(() => {
    if (!charts.isConnected) return clearInterval(timer);
    refresh().catch((error) => charts.replaceChildren(problem(error)));
  }, EVERY_MS);
}
