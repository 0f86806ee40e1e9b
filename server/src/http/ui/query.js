// The nearest records to a vector or to a record, with the plan that found them.

import { api, parseId } from "/ui/api.js";
import { blame, busy, count, el, forgive, labelled, micros, problem, remember } from "/ui/dom.js";
import { planTree } from "/ui/plan.js";
import { browse, namespaceChoice } from "/ui/records.js";

/** Something that is wrong with a field before anything was sent. */
const wrong = (field, message) => Object.assign(new Error(message), { field });

function parseVector(text, dim) {
  const parts = text.replace(/[[\]]/g, " ").split(/[\s,;]+/).filter(Boolean);
  const vector = parts.map(Number);
  const at = vector.findIndex((x) => !Number.isFinite(x));
  if (at >= 0) throw wrong("vector", `"${parts[at]}" in the vector is not a number`);
  if (vector.length !== dim) throw wrong("vector", `the vector has ${count(vector.length)} components, the collection ${count(dim)}`);
  return vector;
}

export async function query(main, name, parameters) {
  const [info, namespaces] = await Promise.all([api.collection(name), api.namespaces(name)]);
  const start = parameters.get("namespace") ?? namespaces[0]?.name ?? "";
  const choice = namespaceChoice(namespaces, start);
  const like = el("input", { name: "like", value: parameters.get("like") || "", placeholder: "id of a record", autocomplete: "off" });
  const vector = el("textarea.mono", { name: "vector", rows: 1, placeholder: `or ${count(info.dim)} numbers`, spellcheck: false });
  const filter = el("input", { name: "filter", value: parameters.get("filter") || "", placeholder: "pos = 'n' AND gloss_len < 80", spellcheck: false, autocomplete: "off" });
  const k = el("input", { name: "k", type: "number", min: 1, value: parameters.get("k") || 10 });
  const effort = el("select", { name: "effort" },
    [["auto", "automatic"], ["recall", "recall of"], ["ef", "ef of"], ["exact", "exact"]].map(([value, text]) => el("option", { value }, text)));
  const amount = el("input", { name: "amount", type: "number", step: "any", hidden: true });
  effort.addEventListener("change", () => {
    amount.hidden = !["recall", "ef"].includes(effort.value);
    amount.value = effort.value === "recall" ? "0.95" : "64";
  });
  const results = el("div");
  const form = el("form.bar", { onsubmit: (event) => { event.preventDefault(); ask(); } },
    el("div.row", {}, labelled("Like", like), labelled("Vector", vector, "label.wide")),
    el("div.row", {}, labelled("Filter", filter, "label.wide"), choice ? labelled("Namespace", choice) : null,
      labelled("k", k), el("label", {}, "Effort", el("span", {}, effort, " ", amount)),
      el("button.main", {}, "Search")));
  main.replaceChildren(form, results);

  function asked() {
    const body = { k: Number(k.value), explain: true, namespace: choice ? choice.value : start };
    if (like.value.trim()) body.like = parseId(like.value);
    else if (vector.value.trim()) body.vector = parseVector(vector.value, info.dim);
    else throw wrong("like", "give the id of a record, or a vector");
    if (filter.value.trim()) body.filter = filter.value.trim();
    if (effort.value === "exact") body.exact = true;
    else if (effort.value !== "auto") body[effort.value] = Number(amount.value);
    return body;
  }

  async function ask() {
    forgive(form);
    try {
      const body = asked();
      // Not the vector, which is longer than an address may be.
      remember(form, { like: like.value.trim(), filter: body.filter ?? "", namespace: body.namespace, k: k.value });
      const answer = await busy(results, () => api.query(name, body));
      const score = { title: "score", right: true, value: (hit) => hit.score.toFixed(4) };
      const hits = answer.hits.length === 1 ? "1 hit" : `${count(answer.hits.length)} hits`;
      results.replaceChildren(
        el("p.quiet", {}, `${hits} in ${micros(answer.plan.total_us)}`, answer.complete ? "" : ", incomplete"),
        browse(name, body.namespace, answer.hits, { more: [score], empty: "Nothing found." }), el("h2", {}, "Plan"), planTree(answer.plan, body.like === undefined ? "" : "one more than shown: the record itself is left out"));
    } catch (error) {
      // Both have one field here.
      if (["ef", "recall"].includes(error.field)) error.field = "amount";
      results.replaceChildren(...(blame(form, error) ? [] : [problem(error)]));
    }
  }
  if (like.value) await ask();
}
