// One case: facts, pictures with their controls, the audit's scores, the form of the review.

/**
 * What else stands below a case's pictures: put here by files of the program that only a served page has.
 * @type {Array<(panes: Panes, scene: any) => {node: HTMLElement, close: () => void}>}
 */
const besidePictures = [];

class CaseView {
  /**
   * @param {any} facts
   * @param {ReviewNotes} notes
   */
  constructor(facts, notes) {
    Object.assign(this, { facts, notes, panes: undefined, beside: [] });
    this.form = reviewForm(notes, facts);
    const waiting = element("p", { class: "quiet" }, "Loading the pictures\u2026");
    this.pictures = element("div", { class: "pictures" }, waiting);
    this.picker = facts.file === undefined ? undefined : filePicker(facts.file, () => this.open());
    const picker = this.picker === undefined ? [] : [this.picker.node];
    const parts = [this.header(), ...picker, this.pictures, this.form.node, this.scores()];
    this.node = element("section", { class: "case", "data-study": facts.study }, ...parts);
  }

  header() {
    const { facts } = this;
    const { badge } = facts;
    const shown = badge === null ? [] : [element("span", { class: `badge ${badge.kind}` }, badge.text)];
    const list = facts.facts.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, said(text))]);
    const noted = facts.note !== null && facts.why === undefined;
    const note = noted ? [element("p", { class: "quiet" }, said(facts.note))] : [];
    const title = element("h2", {}, said(facts.study), " ", ...shown);
    return element("header", {}, title, element("dl", {}, ...list), ...note);
  }

  scores() {
    const { heads, rows } = this.facts.scores;
    return element("details", {}, element("summary", {}, "The audit's scores"), table(heads, rows),
      element("p", { class: "quiet" }, this.facts.warning));
  }

  /** The case's bytes: of the file that was picked, else those that came with the page. */
  async bytes() {
    const { file } = this.facts;
    if (file !== undefined && pickedFiles.has(file.name)) {
      try {
        const content = await pickedContent(file);
        this.picker.say(`Shown: ${file.name}`);
        return content;
      } catch (fault) {
        pickedFiles.delete(file.name);
        this.picker.say(fault.message);
      }
    }
    return caseBytes(this.facts);
  }

  /** Load and show the pictures; what fails is said in their place. */
  async open() {
    const { facts } = this;
    if (facts.why !== undefined) {
      this.say(facts.why);
      return;
    }
    try {
      const { header, array } = opened(await this.bytes());
      const scenes = [];
      for (const scene of header.scenes) scenes.push(await openScene(scene, array));
      if (this.closed) return;
      this.show(header.picture, scenes);
    } catch (fault) {
      this.say(`The pictures cannot be shown: ${fault.message}`);
    }
  }

  /** @param {string} text */
  say(text) {
    this.pictures.replaceChildren(element("p", { class: "warning" }, said(text)));
    this.node.dataset.ready = "true";
  }

  show(picture, scenes) {
    this.clear();
    const panes = new Panes(picture, scenes);
    this.panes = panes;
    const side = [controlsOf(panes), readoutOf(panes), this.honesty(picture, scenes[0])];
    this.pictures.replaceChildren(panes.node, element("div", { class: "side" }, ...side));
    this.beside = besidePictures.map((part) => part(panes, scenes[0]));
    this.pictures.after(...this.beside.map(({ node }) => node));
    panes.refit();
    this.node.dataset.ready = "true";
  }

  /** What the pictures are, and are not. */
  honesty(picture, scene) {
    const words = [`Maps explain the label ${picture.target}.`];
    if (picture.kind === "planes" && this.facts.file === undefined) {
      words.push("This run keeps single planes of its cases; the wheel goes from one to the next.",
        "With report.volumes: crops in audit.yaml a run keeps what is needed to scroll.");
    }
    if (scene.small !== null) {
      words.push("Inside the dotted box values are the image's own; outside, the picture is reduced to 8 bits, lossy,",
        "and no value is read from it.");
    }
    const { error } = scene.image;
    if (error > 0) words.push(`The image's values were kept in 65,535 steps: \u00b1${numeral(error)}.`);
    words.push("Hatched: not seen by the model. Scores are of the whole image, whatever part is shown.", "Not for diagnosis.");
    return element("p", { class: "quiet" }, said(words.join(" ")));
  }

  /** Stop what the pictures do that are shown. */
  clear() {
    this.panes?.close();
    for (const { close, node } of this.beside) {
      close();
      node.remove();
    }
  }

  close() {
    this.closed = true;
    this.clear();
  }
}
