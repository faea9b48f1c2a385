// Keys of the page's own: none with Ctrl or Alt, which are the browser's.

/** @type {Array<[string[], string, (page: any) => void]>} */
const KEYS = [
  [["ArrowUp", "PageUp"], "slice before", (page) => page.panes?.scroll(page.panes.active, -1)],
  [["ArrowDown", "PageDown"], "slice after", (page) => page.panes?.scroll(page.panes.active, 1)],
  [["Tab"], "next plane (the browser's own key)", () => undefined],
  [["["], "lower threshold", (page) => moveThreshold(page.panes, -1)],
  [["]"], "higher threshold", (page) => moveThreshold(page.panes, 1)],
  [["-"], "map fainter", (page) => moveOpacity(page.panes, -0.1)],
  [["+", "="], "map stronger", (page) => moveOpacity(page.panes, 0.1)],
  [["w"], "next window", (page) => nextWindow(page.panes)],
  [["m"], "next map", (page) => nextMap(page.panes)],
  [["v"], "map on or off", (page) => flip(page.panes, "mapShown")],
  [["o"], "outlines on or off", (page) => flip(page.panes, "outlinesShown")],
  [["x"], "cross on or off", (page) => flip(page.panes, "crossShown")],
  [["n"], "radiological or neurological view", (page) => flip(page.panes, "neurological")],
  [["r"], "as it was at first", (page) => page.panes?.reset()],
  [["1"], "agree", (page) => page.view?.form.judge(0)],
  [["2"], "disagree", (page) => page.view?.form.judge(1)],
  [["3"], "reference doubtful", (page) => page.view?.form.judge(2)],
  [["."], "next case", (page) => page.step(1)],
  [[","], "case before", (page) => page.step(-1)],
  [["?"], "this help", (page) => page.help.showModal()],
];

/** @param {Panes|undefined} panes @param {number} steps */
function moveThreshold(panes, steps) {
  if (panes === undefined) return;
  panes.place = Math.min(Math.max(panes.place + steps, 0), panes.steps.length - 1);
  panes.paint();
}

/** @param {Panes|undefined} panes @param {number} change */
function moveOpacity(panes, change) {
  if (panes === undefined) return;
  panes.opacity = Math.min(Math.max(panes.opacity + change, 0), 1);
  panes.paint();
}

/** @param {Panes|undefined} panes */
function nextWindow(panes) {
  if (panes === undefined) return;
  panes.setWindow((panes.windowNumber + 1) % panes.said.windows.length);
  panes.paint();
}

/** @param {Panes|undefined} panes */
function nextMap(panes) {
  if (panes === undefined || panes.said.maps.length === 0) return;
  panes.setMap(panes.said.maps[(panes.mapNumber + 1) % panes.said.maps.length].name);
  panes.read();
}

/** @param {Panes|undefined} panes @param {string} setting */
function flip(panes, setting) {
  if (panes === undefined) return;
  panes[setting] = !panes[setting];
  panes.read();
}

/**
 * Listen to keys, but not where somebody writes or moves a slider.
 * @param {any} page
 */
function listenToKeys(page) {
  document.addEventListener("keydown", (event) => {
    const busy = "input:not([type=checkbox]), textarea, select, dialog";
    const writes = event.target instanceof Element && event.target.closest(busy);
    if (event.ctrlKey || event.altKey || event.metaKey || writes || event.key === "Tab") return;
    const known = KEYS.find(([keys]) => keys.includes(event.key.length === 1 ? event.key.toLowerCase() : event.key));
    if (known === undefined) return;
    event.preventDefault();
    known[2](page);
  });
}

/** @returns {HTMLDialogElement} */
function helpPanel() {
  const rows = KEYS.map(([keys, meaning]) => [element("kbd", {}, keys.join(" ")), meaning]);
  const mouse = [
    ["wheel", "slices; with Ctrl: zoom; of a picture: zoom"],
    ["press and move", "the cross, in all planes; with Shift: move the picture; with the right button: window"],
  ];
  const dialog = /** @type {HTMLDialogElement} */ (element("dialog", { class: "help" }));
  dialog.append(element("h2", {}, "Keys and mouse"), table(["Key", "What it does"], [...rows, ...mouse]),
    button("Close", () => dialog.close()));
  return dialog;
}
