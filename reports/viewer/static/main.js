// The page put together: three views, one at a time, chosen by what stands behind the # of the address.

class Page {
  /** @param {any} data */
  constructor(data) {
    Object.assign(this, { data, view: undefined });
    this.notes = new ReviewNotes();
    this.help = helpPanel();
    this.main = element("main");
    this.answers = answersView(data);
    this.cohort = cohortView(data, (study) => this.open(study));
    document.body.append(this.bar(), this.main, this.help);
    addEventListener("hashchange", () => this.show());
    listenToKeys(this);
    this.show();
  }

  /** The panes of the case that is open. */
  get panes() {
    return this.view?.panes;
  }

  bar() {
    const link = (text, address) => element("a", { href: address }, text);
    const entries = this.data.cases.map((facts, place) => [String(place), `${place + 1}  ${facts.study}`]);
    const cases = choice([["", "Cases"], ...entries], (place) => { if (place !== "") location.hash = `case-${place}`; });
    cases.id = "cases";
    this.cases = cases;
    return element("nav", {}, link("Answer", "#answer"), link("Cohort", "#cohort"), cases,
      button("? Help", () => this.help.showModal()), sendingBar(this.data, this.notes));
  }

  /** @param {string} study */
  open(study) {
    location.hash = `case-${this.data.cases.findIndex((facts) => facts.study === study)}`;
  }

  /** Go to the next case, or the one before. @param {number} steps */
  step(steps) {
    const place = Number(/^#case-(\d+)$/.exec(location.hash)?.[1] ?? (steps > 0 ? -1 : this.data.cases.length));
    if (this.data.cases[place + steps] !== undefined) location.hash = `case-${place + steps}`;
  }

  show() {
    this.view?.close();
    this.view = undefined;
    const place = /^#case-(\d+)$/.exec(location.hash)?.[1];
    const facts = place === undefined ? undefined : this.data.cases[Number(place)];
    this.cases.value = facts === undefined ? "" : String(Number(place));
    if (facts === undefined) {
      this.main.replaceChildren(location.hash === "#cohort" ? this.cohort : this.answers);
      return;
    }
    this.view = new CaseView(facts, this.notes);
    this.main.replaceChildren(this.view.node);
    this.view.open();
  }
}

/** Say what went wrong where a reader sees it: a page that fails in silence shows a wrong picture. @param {string} text */
function fault(text) {
  document.body.dataset.faults = String(Number(document.body.dataset.faults ?? "0") + 1);
  document.body.prepend(element("p", { class: "warning", role: "alert" }, `This page failed: ${text}`));
}

addEventListener("error", (event) => fault(event.message));
addEventListener("unhandledrejection", (event) => fault(String(event.reason?.message ?? event.reason)));
document.addEventListener("securitypolicyviolation", (event) => fault(`${event.violatedDirective} was violated`));
new Page(JSON.parse(document.getElementById("data")?.textContent ?? "{}"));
document.body.dataset.ready = "true";
