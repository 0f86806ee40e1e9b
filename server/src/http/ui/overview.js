// A collection in numbers, and `optimize`.

import { api } from "/ui/api.js";
import { bytes, count, el, notice, numbers, problem, table } from "/ui/dom.js";

const KINDS = [
  ["vectors", ["vectors"]],
  ["index", ["codes", "links", "upper-layers", "graphs", "calibrations", "quantizer", "clusters"]],
  ["metadata", ["metadata", "metadata-index"]],
  ["field indices", ["fields"]],
];

function bytesOf(segment, sections) {
  return sections.reduce((sum, name) => sum + (segment.sections[name] || 0), 0);
}

function state(segment) {
  const bad = (title, lines) => el("span.tag.bad", { title: lines.join("\n") }, title);
  if (segment.damage.length) return bad("damaged", segment.damage);
  return segment.degraded.length ? bad("degraded", segment.degraded) : el("span.tag", {}, "sound");
}

function segments(stats) {
  if (!stats.segments.length) return el("div.empty.card", {}, "No segment yet: everything is in memory and in the log.");
  return table([
    { title: "segment", value: (s) => s.id },
    { title: "rows", right: true, value: (s) => count(s.rows) },
    { title: "deleted", right: true, value: (s) => count(s.deleted) },
    { title: "bytes", right: true, value: (s) => bytes(s.bytes) },
    ...KINDS.map(([title, sections]) => ({ title, right: true, value: (s) => bytes(bytesOf(s, sections)) })),
    { title: "state", value: state },
  ], stats.segments);
}

function fields(stats) {
  const all = new Map();
  for (const segment of stats.segments) {
    for (const field of segment.fields) {
      const sum = all.get(field.path) || { path: field.path, bytes: 0, values: 0, whole: true };
      sum.bytes += field.bytes;
      sum.values = Math.max(sum.values, (field.strings || 0) + field.numbers + field.dates);
      sum.whole &&= field.strings !== null;
      all.set(field.path, sum);
    }
  }
  if (!all.size) return null;
  return [el("h2", {}, "Fields"), table([
    { title: "field", value: (f) => f.path },
    { title: "distinct values in a segment", right: true, value: (f) => f.whole ? count(f.values) : "too many to index" },
    { title: "index bytes", right: true, value: (f) => bytes(f.bytes) },
  ], [...all.values()])];
}

/** The button, and progress while the task runs. */
function optimizer(name, stats, reload) {
  const box = el("div.card.act");
  const dead = stats.segments.reduce((sum, s) => sum + s.deleted, 0);
  const useful = stats.segments.length > 1 || dead;
  const idle = () => box.replaceChildren(
    el(useful ? "button.main" : "button", { onclick: start }, "Optimize"),
    el("span.quiet.spoken", {}, useful
      ? `merges ${count(stats.segments.length)} segments into one and drops ${count(dead)} deleted rows`
      : "there is nothing to merge or to drop"));
  async function start() {
    try { await follow(await api.optimize(name)); } catch (error) { box.append(problem(error)); }
  }
  async function follow(task) {
    while (task.state === "running") {
      const cancel = el("button", { onclick: () => api.cancel(task.id).catch((e) => notice(e.message)) }, "Cancel");
      const share = task.total ? { value: task.done, max: task.total } : {};
      box.replaceChildren(el("progress", share),
        el("span.quiet.spoken", {}, `${task.stage || "starting"} ${count(task.done)} / ${count(task.total)}`), cancel);
      await new Promise((resolve) => setTimeout(resolve, 250));
      if (!box.isConnected) return;
      task = await api.task(task.id);
    }
    notice(task.state === "done" ? `optimized in ${task.seconds.toFixed(1)} s` : `optimize: ${task.error || task.state}`);
    reload();
  }
  idle();
  api.tasks().then((tasks) => {
    const running = tasks.find((t) => t.state === "running" && t.kind === "optimize" && (t.collection === name || t.collection === null));
    if (running) follow(running).catch((error) => box.append(problem(error)));
  }).catch(() => {});
  return box;
}

export async function overview(main, name) {
  const [info, stats, namespaces] = await Promise.all([api.collection(name), api.stats(name), api.namespaces(name)]);
  const reload = () => main.isConnected && overview(main, name).catch((error) => main.append(problem(error)));
  const disk = stats.segments.reduce((sum, s) => sum + s.bytes, 0);
  main.replaceChildren(
    numbers([
      [count(stats.records), "records"],
      [count(info.dim), `components of ${info.precision}, ${info.metric}, codes ${info.codes}`],
      [count(stats.segments.length), stats.segments.length === 1 ? "segment" : "segments"],
      [bytes(disk), "in segments"],
      [count(stats.memtable_records), stats.memtable_records ? `records in memory, ${bytes(stats.memtable_bytes)}` : "records in memory"],
      [count(namespaces.length), namespaces.length === 1 ? "namespace" : "namespaces"],
    ]),
    ...(stats.trouble ? [problem({ message: stats.trouble })] : []),
    el("h2", {}, "Optimize"), optimizer(name, stats, reload),
    el("h2", {}, "Segments"), segments(stats),
    ...(fields(stats) || []),
    ...(namespaces.length > 1 ? [el("h2", {}, "Namespaces"), table([
      { title: "namespace", value: (n) => n.name || "(default)" },
      { title: "records", right: true, value: (n) => count(n.records) },
      { title: "bytes", right: true, value: (n) => bytes(n.bytes) },
    ], namespaces)] : []));
}
