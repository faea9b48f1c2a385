// The answer first: what page 1 of the report says, in its words.

/**
 * @param {any} data
 * @returns {HTMLElement}
 */
function answersView(data) {
  const rows = data.verdicts.map((row) => [
    element("span", {}, element("b", {}, said(row.criterion)), element("br"), said(row.whom)),
    row.asked, row.estimate, row.bounds, row.allowed,
    element("span", { class: `badge ${verdictKind(row.answer)}` }, row.answer),
  ]);
  const heads = ["Criterion", "Asked", "Estimate", data.interval, "The data allow", "Verdict"];
  const verdicts = rows.length > 0 ? table(heads, rows)
    : element("p", {}, "No acceptance criterion was stated, so there is no verdict.");
  const answers = data.answers.map(({ heading, first, rest }) => {
    const text = element("p", {}, element("b", {}, said(first)), " ", said(rest));
    return element("div", { class: "answer" }, element("h3", {}, heading), text);
  });
  const identity = [["Model", data.model], ...data.identity];
  const list = identity.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, said(text))]);
  return element("section", { class: "answers" },
    element("h1", {}, said(data.title)), ...alteredOf(data), element("dl", {}, ...list),
    element("h2", {}, "Verdicts"), verdicts, element("div", { class: "answered" }, ...answers), lockOf(data));
}

/** @param {string} answer @returns {string} */
const verdictKind = (answer) =>
  ({ MET: "good", "NOT MET": "bad", INCONCLUSIVE: "open" })[answer] ?? "none";

/** @param {any} data @returns {HTMLElement[]} */
function alteredOf(data) {
  if (data.altered.length === 0) return [];
  const words = "ALTERED. The run's folder is not what its run wrote, so no number of this page can be relied on:";
  return [element("div", { class: "warning", id: "altered" }, element("p", {}, element("b", {}, words)),
    element("ul", {}, ...data.altered.map((reason) => element("li", {}, said(reason)))))];
}

/** @param {any} data @returns {HTMLElement} */
function lockOf(data) {
  const [word, sentence] = data.lock;
  const reasons = data.exploratory.map((reason) => element("li", {}, said(reason)));
  return element("div", { class: data.exploratory.length > 0 ? "warning" : "lock" },
    element("p", {}, element("b", {}, word), " ", sentence), element("ul", {}, ...reasons));
}
