// A map at its layer's cells, read at the image's voxels: linear between the cells' centres, as in the audit.

const AT_EDGE = 0.5 + 1e-6; // of a cell: so far beyond the outermost centres the model still saw

/**
 * @param {any} facts
 * @param {(reference: any) => any} array
 */
function openMap(facts, array) {
  const seen = facts.seen === undefined ? null : array(facts.seen);
  const moved = JSON.stringify(facts.step) !== JSON.stringify(facts.seenStep);
  return { ...facts, values: array(facts.values), strides: stridesOf(facts.shape), seen, moved };
}

/**
 * The map's value at a place among its cells; outside the outermost centres theirs holds.
 * @param {any} map
 * @param {number} first
 * @param {number} second
 * @param {number} third 0 for a picture
 * @returns {number}
 */
function interpolated(map, first, second, third) {
  const { values, shape, strides } = map;
  let low = 0;
  let sum = 0;
  const a = Math.min(Math.max(first, 0), shape[0] - 1);
  const b = Math.min(Math.max(second, 0), shape[1] - 1);
  const a0 = Math.min(Math.floor(a), Math.max(shape[0] - 2, 0));
  const b0 = Math.min(Math.floor(b), Math.max(shape[1] - 2, 0));
  const fa = a - a0;
  const fb = b - b0;
  const stepA = shape[0] > 1 ? strides[0] : 0;
  const stepB = shape[1] > 1 ? strides[1] : 0;
  low = a0 * strides[0] + b0 * strides[1];
  if (shape.length === 2) {
    sum = (1 - fa) * ((1 - fb) * values[low] + fb * values[low + stepB]);
    return sum + fa * ((1 - fb) * values[low + stepA] + fb * values[low + stepA + stepB]);
  }
  const c = Math.min(Math.max(third, 0), shape[2] - 1);
  const c0 = Math.min(Math.floor(c), Math.max(shape[2] - 2, 0));
  const fc = c - c0;
  const stepC = shape[2] > 1 ? 1 : 0;
  low += c0;
  const line = (at) => (1 - fc) * values[at] + fc * values[at + stepC];
  sum = (1 - fa) * ((1 - fb) * line(low) + fb * line(low + stepB));
  return sum + fa * ((1 - fb) * line(low + stepA) + fb * line(low + stepA + stepB));
}

/**
 * Tell whether the model saw a place, given among the cells as they tile its field of view.
 * @param {any} map
 * @param {number[]} place
 * @returns {boolean}
 */
const within = (map, place) =>
  map.shape.every((size, axis) => place[axis] >= -AT_EDGE && place[axis] <= size - 1 + AT_EDGE);

/**
 * Apply a step to a voxel's index.
 * @param {number[][]} step
 * @param {number[]} voxel
 * @returns {number[]}
 */
const placed = (step, voxel) =>
  voxel.map((_, row) => voxel.reduce((sum, index, axis) => sum + step[row][axis] * index, step[row][3]));

/**
 * The map's value at a voxel of the image; NaN where the model did not see it.
 * @param {any} map
 * @param {number[]} voxel
 * @returns {number}
 */
function mapValue(map, voxel) {
  if (map.seen !== null) {
    const bit = voxel[0] * map.shape[1] + voxel[1];
    if (((map.seen[bit >> 3] >> (7 - (bit & 7))) & 1) === 0) return NaN;
  } else if (!within(map, placed(map.seenStep, voxel))) return NaN;
  const place = placed(map.step, voxel);
  const value = map.scale * interpolated(map, place[0], place[1], place[2] ?? 0);
  return map.rectified ? Math.max(value, 0) : value;
}

/**
 * What an axis of the plane adds to a place among a map's cells: for each index, along each of the cells' three axes.
 * @param {number[][]} step
 * @param {number} axis of the image
 * @param {Int32Array} indices
 * @param {number} axes of the map
 * @returns {Float64Array[]}
 */
const partsAlong = (step, axis, indices, axes) =>
  [0, 1, 2].map((row) => Float64Array.from(indices, (index) => (row < axes ? step[row][axis] * index : 0)));

/**
 * Places among a map's cells: a start, and what rows and columns of the page add to it.
 * @param {number[][]} step
 * @param {{order: number[], axis: number|null}} plane
 * @param {{rows: Int32Array, columns: Int32Array, slice: number}} voxels
 * @param {number} axes
 */
function placesOf(step, plane, voxels, axes) {
  const across = (row) => (plane.axis === null ? 0 : step[row][plane.axis] * voxels.slice);
  return {
    start: [0, 1, 2].map((row) => (row < axes ? step[row][3] + across(row) : 0)),
    rows: partsAlong(step, plane.order[0], voxels.rows, axes),
    columns: partsAlong(step, plane.order[1], voxels.columns, axes),
  };
}

/**
 * Fill a plane with the map's values: `voxels.rows` and `voxels.columns` are indices along the plane's axes.
 * @param {any} map
 * @param {{order: number[], axis: number|null}} plane
 * @param {{rows: Int32Array, columns: Int32Array, slice: number}} voxels -1: beside the image
 * @param {Float32Array} values row by row; NaN where there is no voxel, or the model did not see it
 */
function sampleMap(map, plane, voxels, values) {
  const { rows, columns } = voxels;
  const width = columns.length;
  const axes = map.shape.length;
  const places = placesOf(map.step, plane, voxels, axes);
  const seen = map.moved ? placesOf(map.seenStep, plane, voxels, axes) : places;
  for (let y = 0, at = 0; y < rows.length; y += 1, at += width) {
    const line = values.subarray(at, at + width);
    if (rows[y] < 0) line.fill(NaN);
    else if (y > 0 && rows[y] === rows[y - 1]) values.copyWithin(at, at - width, at); // of one voxel's lines the first
    else if (map.seen !== null) listedLine(map, rows[y], columns, line);
    else sampleLine(map, { places, seen, y }, columns, line);
  }
}

/**
 * Fill one line of a plane whose seen pixels are listed.
 * @param {any} map
 * @param {number} row
 * @param {Int32Array} columns
 * @param {Float32Array} line
 */
function listedLine(map, row, columns, line) {
  for (let x = 0; x < columns.length; x += 1) line[x] = columns[x] < 0 ? NaN : mapValue(map, [row, columns[x]]);
}

/**
 * Fill one line of a plane.
 * @param {any} map
 * @param {{places: any, seen: any, y: number}} laid
 * @param {Int32Array} columns
 * @param {Float32Array} line
 */
function sampleLine(map, { places, seen, y }, columns, line) {
  const from = ({ start, rows }) => start.map((value, axis) => value + rows[axis][y]);
  const [a, b, c] = from(places);
  const [seenA, seenB, seenC] = from(seen);
  const [endA, endB, endC] = [0, 1, 2].map((axis) => (map.shape[axis] ?? 1) - 1 + AT_EDGE);
  const [alongA, alongB, alongC] = places.columns;
  const [acrossA, acrossB, acrossC] = seen.columns;
  for (let x = 0; x < columns.length; x += 1) {
    if (x > 0 && columns[x] === columns[x - 1]) {
      line[x] = line[x - 1];
      continue;
    }
    const [placeA, placeB, placeC] = [seenA + acrossA[x], seenB + acrossB[x], seenC + acrossC[x]];
    const outside = placeA < -AT_EDGE || placeA > endA || placeB < -AT_EDGE || placeB > endB
      || placeC < -AT_EDGE || placeC > endC;
    if (columns[x] < 0 || outside) line[x] = NaN;
    else {
      const value = interpolated(map, a + alongA[x], b + alongB[x], c + alongC[x]);
      line[x] = map.scale * (map.rectified && value < 0 ? 0 : value);
    }
  }
}
