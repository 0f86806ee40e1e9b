// EXPLAIN as a tree: for every part of the collection what was expected and what happened.

import { count, el, micros, percent } from "/ui/dom.js";

const NAMES = {
  empty: "nothing can match",
  scan_rows: "scan of the matching rows' codes",
  scan_sketches: "scan of the matching rows' sketches",
  full_scan: "exact scan",
  graph: "graph search",
  graph_sweep: "graph search that collects matches",
  clusters: "search of the nearest clusters",
};

const named = (strategy) => NAMES[strategy] || strategy.replaceAll("_", " ");
const withEf = (part) => `${named(part.strategy)}${part.ef ? `, ef ${count(part.ef)}` : ""}`;

/** Estimate above actual, on one scale. */
function bars(rows, show) {
  const most = Math.max(...rows.map(([, value]) => value || 0), Number.MIN_VALUE);
  return el("div.bars", {}, rows.map(([name, value]) => {
    const fill = el(name === "estimated" ? "div.fill.estimate" : "div.fill");
    fill.style.width = `${(100 * (value || 0)) / most}%`;
    return [el("span.quiet", {}, name), el("div.track", {}, fill), el("span", {}, show(value))];
  }));
}

function segment(part, filtered) {
  const { planned, ran } = part;
  const where = part.kind === "memtable" ? "memtable" : `segment ${part.segment_id}`;
  const others = part.alternatives.filter((other) => other.strategy !== planned.strategy);
  const notes = [];
  if (part.fallback) notes.push(el("div", {}, el("span.tag.warn", {}, "changed while it ran"), ` ${part.fallback}`));
  for (const line of part.degraded) notes.push(el("div", {}, el("span.tag.bad", {}, "damaged"), ` ${line}`));
  return el("li", {},
    el("div", {}, el("span.strategy", {}, `${where}: `), withEf(ran)),
    el("div.quiet", {},
      `${count(part.matching_rows)} of ${count(part.live_rows)} records match (${percent(part.selectivity)})`
      + (filtered ? `, found in ${micros(part.filter.actual_us)}` : "")
      + (part.filter.metadata_rows_read ? `, metadata of ${count(part.filter.metadata_rows_read)} read` : "")),
    bars([["estimated", planned.estimated_us], ["actual", ran.actual_us]], micros),
    bars([["estimated", planned.estimated_distances], ["actual", ran.distances]], (n) => `${count(n ?? 0)} distances`),
    el("div.quiet", {}, `expected recall ${planned.expected_recall.toFixed(3)}`),
    notes,
    others.length ? el("details", {}, el("summary.quiet", {}, "what else was considered"),
      el("ul", {}, others.map((other) => el("li", {}, withEf(other),
        el("span.quiet", {}, other.rejected ? `: not used, ${other.rejected}` : `: estimated ${micros(other.estimated_us)}`))))) : null);
}

/** The plan that an answer brought with it; `note` is said beside the number of hits. */
export function planTree(plan, note) {
  return el("div.card.plan", {},
    el("div", {}, el("span.strategy", {}, `${count(plan.hits)} of k = ${count(plan.k)}`),
      ` in ${micros(plan.total_us)} `,
      plan.complete ? el("span.tag", {}, "complete") : el("span.tag.bad", {}, "incomplete"),
      note ? el("span.quiet", {}, ` ${note}`) : null),
    el("div.quiet", {}, plan.filter ? `where ${plan.filter}` : "no filter"),
    el("ul", {}, plan.segments.map((part) => segment(part, plan.filter)),
      el("li", {}, el("span.strategy", {}, "rerank: "), `${count(plan.rerank.reranked)} candidates on full vectors`,
        el("span.quiet", {}, `, ${micros(plan.rerank.actual_us)}`))));
}
