// A reviewer's judgements, kept in this page alone until they are written: nothing stays in the browser's store.

const JUDGEMENTS = [
  ["agree", "Agree", "The map marks what the experts marked."],
  ["disagree", "Disagree", "The map marks something else."],
  ["reference_doubtful", "Reference doubtful", "The experts' outline, or what the reference says, is in doubt."],
];
const CONTROLS = "\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f";
const TURNING = "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069";
const NOT_PLAIN = new RegExp(`[${CONTROLS}${TURNING}]|\\p{Surrogate}`, "gu");

/**
 * Text without characters that show a reader something else than what is stored.
 * @param {string} text
 * @returns {string}
 */
const plain = (text) => text.replace(/\r\n?/g, "\n").replace(NOT_PLAIN, "");

class ReviewNotes {
  constructor() {
    Object.assign(this, { cases: new Map(), unsaved: false, listeners: [] });
    addEventListener("beforeunload", (event) => { if (this.unsaved) event.preventDefault(); });
  }

  /** @param {string} study @param {string|null} map */
  of(study, map) {
    return this.cases.get(JSON.stringify([study, map])) ?? { judgement: "", comment: "" };
  }

  /** @param {string} study @param {string|null} map @param {{judgement?: string, comment?: string}} change */
  set(study, map, change) {
    const note = { study, map, ...this.of(study, map), ...change };
    const key = JSON.stringify([study, map]);
    if (note.judgement === "" && note.comment === "") this.cases.delete(key);
    else this.cases.set(key, note);
    this.unsaved = true;
    for (const listener of this.listeners) listener();
  }

  /** The notes that have a judgement, as the file holds them. */
  written() {
    return [...this.cases.values()]
      .filter((note) => note.judgement !== "")
      .map(({ study, map, judgement, comment }) => ({ study, map, judgement, comment: plain(comment) }));
  }

  /** How many comments wait for a judgement. @returns {number} */
  get unjudged() {
    return [...this.cases.values()].filter((note) => note.judgement === "").length;
  }
}

/**
 * The form for one case.
 * @param {ReviewNotes} notes
 * @param {any} facts
 * @returns {{node: HTMLElement, judge: (number: number) => void, show: (map: string) => void}}
 */
function reviewForm(notes, facts) {
  let map = null;
  const about = choice(
    [["", "the case as a whole"], ...facts.maps.map(({ name, title }) => [name, `the map ${title}`])],
    (value) => { map = value === "" ? null : value; show(); },
  );
  const comment = /** @type {HTMLTextAreaElement} */ (element("textarea", { rows: "3", maxlength: "10000" }));
  comment.addEventListener("input", () => notes.set(facts.study, map, { comment: comment.value }));
  const judge = (number) => {
    const chosen = JUDGEMENTS[number][0];
    const same = notes.of(facts.study, map).judgement === chosen;
    notes.set(facts.study, map, { judgement: same ? "" : chosen });
    show();
  };
  const buttons = JUDGEMENTS.map(([value, text, title], number) =>
    button(`${number + 1} ${text}`, () => judge(number), { title, "data-judgement": value, "aria-pressed": "false" }));
  const show = () => {
    const note = notes.of(facts.study, map);
    buttons.forEach((node, number) => {
      node.setAttribute("aria-pressed", String(JUDGEMENTS[number][0] === note.judgement));
    });
    comment.value = note.comment;
  };
  const node = element("fieldset", { class: "review" }, element("legend", {}, "Your judgement"),
    labelled("About", about), element("div", { class: "row" }, ...buttons), labelled("Comment", comment));
  show();
  return { node, judge, show };
}
