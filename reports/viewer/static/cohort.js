// The cohort as a table that can be filtered; a study with pictures opens its case.

/**
 * @param {any} data
 * @param {(study: string) => void} open
 * @returns {HTMLElement}
 */
function cohortView(data, open) {
  const { cohort, cases } = data;
  const shown = new Set(cases.map((facts) => facts.study));
  const heads = ["Study", "Answer", "Reference and answer", ...cohort.groups, cohort.score || "Score"];
  const lines = cohort.rows.map((row) => {
    const study = shown.has(row.study) ? button(row.study, () => open(row.study), { class: "link" }) : said(row.study);
    const cells = [study, ...[row.answer, row.cell, ...row.groups, row.scores].map(said)];
    return { row, node: element("tr", {}, ...cells.map((cell) => element("td", {}, cell))) };
  });
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, said(text))));
  const body = element("tbody", {}, ...lines.map(({ node }) => node));
  const list = element("table", { class: "cohort" }, element("thead", {}, head), body);
  return element("section", {}, element("h2", {}, "Cohort"), filtersOf(cohort, lines), list);
}

/**
 * Controls that hide rows; a row stays when every filter lets it.
 * @param {any} cohort
 * @param {Array<{row: any, node: HTMLElement}>} lines
 * @returns {HTMLElement}
 */
function filtersOf(cohort, lines) {
  /** @type {Map<HTMLElement, (row: any) => boolean>} by the control that asks for it: names may be the same */
  const wanted = new Map();
  const count = element("output", { class: "state" });
  const apply = () => {
    let left = 0;
    for (const { row, node } of lines) {
      node.hidden = ![...wanted.values()].every((test) => test(row));
      left += node.hidden ? 0 : 1;
    }
    count.textContent = `${left} of ${lines.length} studies`;
  };
  const byText = (name, of) => {
    const values = [...new Set(lines.map(({ row }) => of(row)))].sort();
    const entries = values.map((value, place) => [String(place + 1), value === "" ? "\u2013" : value]);
    const list = choice([["", "all"], ...entries], (chosen) => {
      if (chosen === "") wanted.delete(list);
      else wanted.set(list, (row) => of(row) === values[Number(chosen) - 1]);
      apply();
    });
    list.dataset.filter = name;
    return labelled(name, list);
  };
  const bound = (name, test) => {
    const attributes = { type: "number", step: "0.05", "data-filter": name };
    const input = /** @type {HTMLInputElement} */ (element("input", attributes));
    input.addEventListener("input", () => {
      if (input.value === "") wanted.delete(input);
      else wanted.set(input, (row) => row.score !== null && test(row.score, Number(input.value)));
      apply();
    });
    return labelled(name, input);
  };
  apply();
  return element("div", { class: "filters" },
    byText("Answer", (row) => row.answer), byText("Reference and answer", (row) => row.cell),
    ...cohort.groups.map((name, place) => byText(name, (row) => row.groups[place])),
    bound("Score at least", (score, value) => score >= value), bound("Score at most", (score, value) => score <= value),
    count);
}
