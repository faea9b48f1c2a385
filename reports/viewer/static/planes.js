// Planes: between a pixel of a canvas and a voxel of the grid, turned as in the report or mirrored.

/**
 * Tell whether mirroring a plane means something: its left and right are the patient's.
 * @param {{letters: string[]}} plane
 * @returns {boolean}
 */
const turnsSides = (plane) => plane.letters[0] === "R" || plane.letters[0] === "L";

/**
 * The letters at (left, right, top, bottom).
 * @param {{letters: string[]}} plane
 * @param {boolean} mirrored
 * @returns {string[]}
 */
function lettersOf(plane, mirrored) {
  const [left, right, top, bottom] = plane.letters;
  return mirrored ? [right, left, top, bottom] : [left, right, top, bottom];
}

/**
 * How a plane lies on a canvas: as large as fits, times the zoom, moved by the pan.
 * @param {number[]} shape the grid
 * @param {any} plane
 * @param {{width: number, height: number}} canvas
 * @param {{zoom: number, pan: number[], neurological: boolean}} look
 */
function placement(shape, plane, canvas, look) {
  const rows = shape[plane.order[0]];
  const columns = shape[plane.order[1]];
  const [high, wide] = plane.pixel_mm;
  const fit = Math.min(canvas.width / (columns * wide), canvas.height / (rows * high)) * look.zoom;
  const [scaleX, scaleY] = [fit * wide, fit * high];
  return {
    rows,
    columns,
    scaleX,
    scaleY,
    left: (canvas.width - columns * scaleX) / 2 + look.pan[0],
    top: (canvas.height - rows * scaleY) / 2 + look.pan[1],
    turned: [plane.flips.includes(0), plane.flips.includes(1)],
    mirrored: look.neurological && turnsSides(plane),
  };
}

/**
 * The index along the plane's row axis at a row of the page, or along its column axis at a column of the page.
 * @param {any} place
 * @param {number} row
 * @returns {number}
 */
const rowIndex = (place, row) => (place.turned[0] ? place.rows - 1 - row : row);
const columnIndex = (place, column) =>
  place.turned[1] !== place.mirrored ? place.columns - 1 - column : column;

/**
 * Indices along a plane's axes for each line of pixels; -1 beside the image.
 * @param {any} place
 * @param {{width: number, height: number}} canvas
 * @returns {{rows: Int32Array, columns: Int32Array}}
 */
function indicesOf(place, canvas) {
  const rows = Int32Array.from({ length: canvas.height }, (_, y) => {
    const row = Math.floor((y + 0.5 - place.top) / place.scaleY);
    return row < 0 || row >= place.rows ? -1 : rowIndex(place, row);
  });
  const columns = Int32Array.from({ length: canvas.width }, (_, x) => {
    const column = Math.floor((x + 0.5 - place.left) / place.scaleX);
    return column < 0 || column >= place.columns ? -1 : columnIndex(place, column);
  });
  return { rows, columns };
}

/**
 * The voxel at a place on a canvas, null beside the image.
 * @param {any} scene
 * @param {any} plane
 * @param {any} place
 * @param {number} slice
 * @param {number} x
 * @param {number} y
 * @returns {number[]|null}
 */
function voxelAt(scene, plane, place, slice, x, y) {
  const row = Math.floor((y - place.top) / place.scaleY);
  const column = Math.floor((x - place.left) / place.scaleX);
  if (row < 0 || row >= place.rows || column < 0 || column >= place.columns) return null;
  const voxel = scene.shape.map(() => 0);
  if (plane.axis !== null) voxel[plane.axis] = slice;
  voxel[plane.order[0]] = rowIndex(place, row);
  voxel[plane.order[1]] = columnIndex(place, column);
  return voxel;
}

/**
 * The middle of a voxel on the canvas.
 * @param {any} plane
 * @param {any} place
 * @param {number[]} voxel
 * @returns {number[]} x and y
 */
const pixelOf = (plane, place, voxel) => [
  place.left + (columnIndex(place, voxel[plane.order[1]]) + 0.5) * place.scaleX,
  place.top + (rowIndex(place, voxel[plane.order[0]]) + 0.5) * place.scaleY,
];

/**
 * A place in words: the patient's directions and millimetres; of a picture, which has no depth, across and down.
 * @param {any} scene
 * @param {any} plane
 * @param {any} place
 * @param {number[]} voxel
 * @returns {string}
 */
function placeWords(scene, plane, place, voxel) {
  const world = worldOf(scene, voxel);
  if (world !== null && scene.oriented && voxel.length === 3) {
    const letters = [["R", "L"], ["A", "P"], ["S", "I"]];
    const parts = world.map((mm, axis) => `${letters[axis][mm >= 0 ? 0 : 1]} ${Math.abs(mm).toFixed(1)}`);
    return `${parts.join(", ")} ${scene.unit}`;
  }
  const row = rowIndex(place, voxel[plane.order[0]]);
  const column = columnIndex(place, voxel[plane.order[1]]);
  const [high, wide] = plane.pixel_mm;
  return `${(column * wide).toFixed(1)} across, ${(row * high).toFixed(1)} down ${scene.unit}`;
}
