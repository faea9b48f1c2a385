// Scores that follow the threshold: from the voxels that the run counted, on the image's own grid, at every step.

/**
 * The thresholds of a map's slider, rising: those that the run counted at, and that of the audit's own rule.
 * @param {any} map as the page's data describe it
 * @returns {Array<{threshold: number, region: number|null, common: Object<string, number>, drawn: boolean}>}
 */
function thresholdsOf(map) {
  const { curve } = map;
  const steps = (curve?.thresholds ?? []).map((threshold, place) => ({
    threshold,
    region: curve.region[place],
    common: Object.fromEntries(Object.entries(curve.readers).map(([reader, own]) => [reader, own.common[place]])),
    drawn: false,
  }));
  if (map.threshold !== null) steps.push(drawnStep(map));
  if (steps.length === 0) steps.push({ threshold: 0, region: null, common: {}, drawn: false });
  return steps.sort((one, other) => one.threshold - other.threshold || Number(one.drawn) - Number(other.drawn));
}

/**
 * The step of the audit's own threshold.
 * @param {any} map
 */
function drawnStep(map) {
  const counted = map.curve?.drawn ?? null;
  const common = counted === null ? {} : Object.entries(map.curve.readers).map(([name, own]) => [name, own.drawn]);
  return {
    threshold: map.threshold,
    region: counted === null ? null : counted[1],
    common: counted === null ? {} : Object.fromEntries(common),
    drawn: true,
  };
}

/**
 * Scores of a map against one reader's mask at a step, as the audit defines them; null: undefined, or not kept.
 * @param {any} map
 * @param {any} step
 * @param {string} reader
 * @returns {{dice: number|null, iou: number|null, energy: number|null, hit: number|null}}
 */
function scoresAt(map, step, reader) {
  const own = map.curve?.readers[reader];
  const recorded = map.recorded[reader] ?? {};
  const scores = {
    dice: step.drawn ? (recorded.dice ?? null) : null,
    iou: step.drawn ? (recorded.iou ?? null) : null,
    energy: recorded.energy_in_mask ?? null,
    hit: recorded.hit_rate ?? null,
  };
  if (own === undefined) return scores;
  if (step.region !== null) {
    const common = step.common[reader];
    scores.dice = own.mask === 0 ? null : (2 * common) / (step.region + own.mask);
    scores.iou = own.mask === 0 ? null : common / (step.region + own.mask - common);
  }
  if (map.curve.total !== null) {
    const placed = own.visible > 0 && map.curve.tied > 0;
    scores.energy = placed ? own.total / map.curve.total : null;
    scores.hit = placed ? own.at_maximum / map.curve.tied : null;
  }
  return scores;
}
