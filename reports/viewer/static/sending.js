// Writing the review: as a file from any page, or to the server that gave this page.

/**
 * The review as its format has it.
 * @param {any} data
 * @param {ReviewNotes} notes
 * @param {{name: string, role: string}} reviewer
 */
const reviewOf = (data, notes, reviewer) => ({
  format: data.reviewFormat,
  run: data.run,
  ledger_head: data.ledgerHead,
  reviewer,
  cases: notes.written(),
  written_at: new Date().toISOString(),
});

/**
 * The bar with who reviews, what is noted so far, and the ways to write it.
 * @param {any} data
 * @param {ReviewNotes} notes
 * @returns {HTMLElement}
 */
function sendingBar(data, notes) {
  const name = /** @type {HTMLInputElement} */ (element("input", { maxlength: "200", autocomplete: "off" }));
  const role = /** @type {HTMLInputElement} */ (element("input", { maxlength: "200", autocomplete: "off" }));
  const state = element("output", { class: "state" });
  const text = () => {
    const line = (input) => plain(input.value).replace(/[\n\t]/g, " ").trim();
    const reviewer = { name: line(name), role: line(role) };
    if (reviewer.name === "" || notes.written().length === 0) {
      state.textContent = reviewer.name === "" ? "Give your name first." : "Judge a case first.";
      return null;
    }
    return JSON.stringify(reviewOf(data, notes, reviewer), null, 1);
  };
  const done = (words) => { notes.unsaved = false; state.textContent = words; };
  const save = button("Save review file", () => {
    const content = text();
    if (content !== null) { offer(content, `review-${data.run}.json`); done("The browser was given the file to download."); }
  }, { id: "save-review" });
  const send = button("Send review", async () => {
    const content = text();
    if (content === null) return;
    await post(data.writesTo, content).then(done, (fault) => { state.textContent = fault.message; });
  }, { id: "send-review" });
  notes.listeners.push(() => {
    const waiting = notes.unjudged > 0 ? `, ${notes.unjudged} commented without a judgement (not written)` : "";
    state.textContent = `${notes.written().length} judged${waiting}; not yet written`;
  });
  return element("form", { class: "sending", autocomplete: "off" },
    labelled("Your name", name), labelled("Role", role), save, ...(data.writesTo === null ? [] : [send]), state);
}

/** @param {string} content @param {string} name */
function offer(content, name) {
  const address = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  const link = element("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** @param {string} address @param {string} content @returns {Promise<string>} */
async function post(address, content) {
  const headers = { "Content-Type": "application/json", "X-Camaudit-Token": token() };
  const answer = await fetch(address, { method: "POST", headers, body: content });
  if (!answer.ok) throw new Error(`Not written: ${await answer.text()}`);
  return `Written as ${(await answer.json()).file}`;
}
