// What a reader sets: window, map, threshold, opacity, view; and the readers' outlines explained.

/**
 * @param {Panes} panes
 * @returns {HTMLElement}
 */
function controlsOf(panes) {
  const { said: facts } = panes;
  const windows = choice(
    facts.windows.map(([name, low, high], number) => [String(number), `${name}: ${numeral(low)} to ${numeral(high)}`]),
    (value) => { panes.setWindow(Number(value)); panes.paint(); },
  );
  const maps = choice(facts.maps.map((map) => [map.name, map.title]), (name) => { panes.setMap(name); panes.read(); });
  const threshold = slider(0, 1, 1, (value) => { panes.place = value; panes.paint(); });
  const opacity = slider(0, 100, 5, (value) => { panes.opacity = value / 100; panes.paint(); });
  const drawn = button("the audit's", () => {
    panes.place = Math.max(0, panes.steps.findIndex((step) => step.drawn));
    panes.paint();
  });
  threshold.id = "threshold";
  const boxes = [
    tick("Map", "mapShown", panes),
    tick("Negative evidence", "negative", panes),
    tick("Outlines", "outlinesShown", panes),
    tick("Cross", "crossShown", panes),
    tick("Neurological view (patient's left on the left)", "neurological", panes),
  ];
  const custom = element("span", { class: "custom" });
  panes.onChange(() => {
    threshold.max = String(panes.steps.length - 1);
    threshold.value = String(panes.place);
    opacity.value = String(Math.round(100 * panes.opacity));
    windows.value = String(panes.windowNumber);
    maps.value = panes.map;
    custom.textContent = `black ${numeral(panes.window[0])}, white ${numeral(panes.window[1])} ${facts.unit}`;
  });
  return element("div", { class: "controls" },
    labelled("Window", windows), custom,
    ...(facts.maps.length > 0 ? [
      labelled("Map", maps),
      element("div", { class: "row" }, labelled("Threshold", threshold), drawn),
      labelled("Opacity", opacity),
    ] : []),
    ...boxes, readersOf(panes));
}

/**
 * @param {number} low
 * @param {number} high
 * @param {number} step
 * @param {(value: number) => void} changed
 * @returns {HTMLInputElement}
 */
function slider(low, high, step, changed) {
  const attributes = { type: "range", min: String(low), max: String(high), step: String(step) };
  const node = /** @type {HTMLInputElement} */ (element("input", attributes));
  node.addEventListener("input", () => changed(Number(node.value)));
  return node;
}

/**
 * A box for one of the panes' settings.
 * @param {string} text
 * @param {string} setting
 * @param {Panes} panes
 * @returns {HTMLElement}
 */
function tick(text, setting, panes) {
  const box = /** @type {HTMLInputElement} */ (element("input", { type: "checkbox", "data-setting": setting }));
  box.addEventListener("change", () => { panes[setting] = box.checked; panes.read(); });
  panes.onChange(() => { box.checked = panes[setting]; });
  return element("label", { class: "tick" }, box, text);
}

/**
 * The readers with their lines and letters.
 * @param {Panes} panes
 * @returns {HTMLElement}
 */
function readersOf(panes) {
  const readers = [...new Set(panes.scenes.flatMap((scene) => scene.masks.map((mask) => mask.reader)))];
  const lines = readers.map((reader, number) => {
    const style = outlineOf(number);
    const attributes = { width: "64", height: "16", "aria-hidden": "true" };
    const canvas = /** @type {HTMLCanvasElement} */ (element("canvas", attributes));
    const context = canvas.getContext("2d");
    context.setLineDash(style.dash);
    context.lineWidth = 2;
    context.strokeStyle = style.colour;
    context.beginPath();
    context.moveTo(2, 8);
    context.lineTo(62, 8);
    context.stroke();
    return element("li", {}, canvas, element("b", {}, style.letter), " ", said(reader));
  });
  if (lines.length === 0) return element("p", { class: "quiet" }, "No expert outlined anything.");
  return element("ul", { class: "readers", "aria-label": "Experts' outlines" }, ...lines);
}
