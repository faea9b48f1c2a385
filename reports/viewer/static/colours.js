// Colours: greys by the window, evidence for the label warm, evidence against it cold.

const STEPS = 256;
const WARM = [[60, 0, 40], [160, 20, 60], [225, 80, 20], [250, 160, 20], [255, 240, 130]];
const COLD = [[10, 20, 70], [20, 60, 150], [40, 120, 210], [110, 190, 240], [210, 240, 255]];

/**
 * A table of colours between stops: 256 times red, green, blue.
 * @param {number[][]} stops
 * @returns {Uint8Array}
 */
function ramp(stops) {
  const table = new Uint8Array(3 * STEPS);
  for (let step = 0; step < STEPS; step += 1) {
    const place = (step / (STEPS - 1)) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    for (let part = 0; part < 3; part += 1) {
      table[3 * step + part] = stops[low][part] + (place - low) * (stops[low + 1][part] - stops[low][part]);
    }
  }
  return table;
}

const WARM_TABLE = ramp(WARM);
const COLD_TABLE = ramp(COLD);

/** How the readers' outlines differ: dashes and letters tell them apart without colour. */
const OUTLINES = [
  { colour: "#39e6c8", dash: [] },
  { colour: "#ff8ad8", dash: [7, 4] },
  { colour: "#ffe14d", dash: [2, 3] },
  { colour: "#9db8ff", dash: [10, 3, 2, 3] },
  { colour: "#ffffff", dash: [14, 5] },
];

/**
 * @param {number} reader its place in the list
 * @returns {{colour: string, dash: number[], letter: string, aside: number}} `aside`: where its letter stands
 */
const outlineOf = (reader) => ({
  ...OUTLINES[reader % OUTLINES.length],
  letter: String.fromCharCode(65 + (reader % 26)),
  aside: 13 * (reader % 5),
});

/**
 * Paint values into pixels: the image in its window, the map above the threshold over it.
 * @param {{image: Float32Array, kind: Uint8Array, map: Float32Array|null}} values
 * @param {{low: number, high: number, range: number, threshold: number, opacity: number, negative: boolean}} look
 * @param {Uint8ClampedArray} pixels red, green, blue, opacity
 */
function paint(values, look, pixels) {
  const { image, kind, map } = values;
  const span = 255 / (look.high - look.low);
  const scale = (STEPS - 1) / look.range;
  const rest = 1 - look.opacity;
  for (let at = 0, out = 0; at < image.length; at += 1, out += 4) {
    const shade = kind[at] === 0 ? 0 : (image[at] - look.low) * span;
    const grey = shade < 0 ? 0 : shade > 255 ? 255 : shade;
    let red = grey;
    let green = grey;
    let blue = grey;
    const value = map === null ? 0 : map[at];
    if (value > look.threshold || (look.negative && value < -look.threshold)) {
      const table = value > 0 ? WARM_TABLE : COLD_TABLE;
      const step = 3 * Math.min(STEPS - 1, Math.floor(Math.abs(value) * scale));
      red = rest * grey + look.opacity * table[step];
      green = rest * grey + look.opacity * table[step + 1];
      blue = rest * grey + look.opacity * table[step + 2];
    }
    pixels[out] = red;
    pixels[out + 1] = green;
    pixels[out + 2] = blue;
    pixels[out + 3] = 255;
  }
}
