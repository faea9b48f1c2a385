// What stands under the cursor (or the cross), and the scores at the slider's threshold.

/**
 * @param {Panes} panes
 * @returns {HTMLElement}
 */
function readoutOf(panes) {
  const value = element("p", { class: "value", "aria-live": "off" });
  const threshold = element("p", { class: "quiet" });
  const scores = element("tbody");
  const heads = ["Expert", "Dice", "IoU", "Energy in mask", "Peak in mask"];
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  const shown = element("table", { class: "live" }, element("thead", {}, head), scores);
  panes.onChange(() => {
    value.textContent = underWords(panes);
    threshold.textContent = thresholdWords(panes);
    scores.replaceChildren(...scoreRows(panes));
  });
  return element("div", { class: "readout" }, value, threshold, shown);
}

/** @param {Panes} panes @returns {string} */
function underWords(panes) {
  const pane = panes.under?.pane ?? panes.active;
  const voxel = panes.under === undefined ? panes.cross : panes.under.voxel;
  if (voxel === null || !panes.panes.includes(pane)) return "beside the image";
  const scene = pane.scene;
  const exact = exactValue(scene, voxel);
  const { error } = scene.image;
  const about = error > 0 ? ` (\u00b1${numeral(error)})` : "";
  const own = exact === null ? "" : `${numeral(exact)} ${panes.said.unit}${about}`;
  const image = exact === null ? "no value: shown reduced, 8 bit, lossy" : own;
  const parts = [image.trim(), ...mapWords(panes, scene, voxel), placeWords(scene, pane.plane, pane.place, voxel)];
  return `${parts.join(" \u00b7 ")} \u00b7 voxel ${voxel.join(", ")}`;
}

/** @param {Panes} panes @param {any} scene @param {number[]} voxel @returns {string[]} */
function mapWords(panes, scene, voxel) {
  const map = scene.maps.get(panes.map);
  if (map === undefined) return [];
  const value = mapValue(map, voxel);
  if (Number.isNaN(value)) return ["not seen by the model"];
  const share = panes.highest > 0 ? ` (${Math.round((100 * value) / panes.highest)} % of its maximum)` : "";
  return [`map ${numeral(value)}${share}`];
}

/** @param {Panes} panes @returns {string} */
function thresholdWords(panes) {
  const { step } = panes;
  const percent = (100 * step.threshold) / panes.highest;
  const share = panes.highest > 0 ? ` = ${percent.toFixed(1)} % of the map's maximum` : "";
  return `above ${numeral(step.threshold)}${share}${step.drawn ? ": the audit's own threshold" : ""}`;
}

/** @param {Panes} panes @returns {HTMLElement[]} */
function scoreRows(panes) {
  const map = panes.said.maps[panes.mapNumber];
  if (map === undefined) return [];
  const readers = new Set([...Object.keys(map.curve?.readers ?? {}), ...Object.keys(map.recorded)]);
  return [...readers].map((reader) => {
    const { dice, iou, energy, hit } = scoresAt(map, panes.step, reader);
    const cells = [dice, iou, energy, hit].map((score) => (score === null ? "\u2013" : score.toFixed(3)));
    return element("tr", {}, element("td", {}, said(reader)), ...cells.map((text) => element("td", {}, text)));
  });
}
