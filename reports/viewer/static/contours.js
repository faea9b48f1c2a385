// Outlines: the edges between a mask's pixels and the others, chained, so that a dash runs on round the corner.

/**
 * The mask's pixels in a plane, row by row of the grid (not of the page).
 * @param {any} scene
 * @param {Uint8Array} bits of the whole grid, the first voxel in the highest bit
 * @param {any} plane
 * @param {number} slice
 * @returns {{inside: Uint8Array, rows: number, columns: number}}
 */
function planeOfMask(scene, bits, plane, slice) {
  const [rowAxis, columnAxis] = plane.order;
  const rows = scene.shape[rowAxis];
  const columns = scene.shape[columnAxis];
  const start = plane.axis === null ? 0 : slice * scene.strides[plane.axis];
  const inside = new Uint8Array(rows * columns);
  for (let row = 0, at = 0; row < rows; row += 1) {
    let bit = start + row * scene.strides[rowAxis];
    for (let column = 0; column < columns; column += 1, at += 1, bit += scene.strides[columnAxis]) {
      inside[at] = (bits[bit >> 3] >> (7 - (bit & 7))) & 1;
    }
  }
  return { inside, rows, columns };
}

/**
 * The directed edges around a mask's pixels: from a corner to the corners it leads to.
 * @param {{inside: Uint8Array, rows: number, columns: number}} mask
 * @returns {Map<number, number[]>}
 */
function edgesOf({ inside, rows, columns }) {
  const wide = columns + 1;
  /** @type {Map<number, number[]>} */
  const edges = new Map();
  const add = (from, to) => {
    const known = edges.get(from);
    if (known === undefined) edges.set(from, [to]);
    else known.push(to);
  };
  for (let row = 0, at = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1, at += 1) {
      if (inside[at] === 0) continue;
      const corner = row * wide + column;
      if (row === 0 || inside[at - columns] === 0) add(corner, corner + 1);
      if (column === columns - 1 || inside[at + 1] === 0) add(corner + 1, corner + wide + 1);
      if (row === rows - 1 || inside[at + columns] === 0) add(corner + wide + 1, corner + wide);
      if (column === 0 || inside[at - 1] === 0) add(corner + wide, corner);
    }
  }
  return edges;
}

/**
 * The mask's outlines: closed chains of corners (row, column) on the grid.
 * @param {{inside: Uint8Array, rows: number, columns: number}} mask
 * @returns {number[][][]}
 */
function outlinesOf(mask) {
  const edges = edgesOf(mask);
  const wide = mask.columns + 1;
  const chains = [];
  for (const start of edges.keys()) {
    while ((edges.get(start) ?? []).length > 0) {
      const chain = [];
      let corner = start;
      let next = (edges.get(corner) ?? []).pop();
      while (next !== undefined) {
        chain.push([Math.floor(corner / wide), corner % wide]);
        corner = next;
        next = corner === start ? undefined : (edges.get(corner) ?? []).pop();
      }
      chains.push(chain);
    }
  }
  return chains;
}

/**
 * Draw outlines over a plane, each with a dark rim, its dashes, and its letter at its highest corner.
 * @param {CanvasRenderingContext2D} context
 * @param {number[][][]} chains
 * @param {any} place
 * @param {{colour: string, dash: number[], letter: string, aside: number}} style
 */
function drawOutlines(context, chains, place, style) {
  const path = new Path2D();
  let top = [Infinity, Infinity];
  for (const chain of chains) {
    chain.forEach(([row, column], number) => {
      const across = place.turned[1] !== place.mirrored ? place.columns - column : column;
      const x = place.left + across * place.scaleX;
      const y = place.top + (place.turned[0] ? place.rows - row : row) * place.scaleY;
      if (y < top[1]) top = [x, y];
      if (number === 0) path.moveTo(x, y);
      else path.lineTo(x, y);
    });
    path.closePath();
  }
  context.setLineDash([]);
  context.lineWidth = 4;
  context.strokeStyle = "rgba(0, 0, 0, 0.55)";
  context.stroke(path);
  context.setLineDash(style.dash);
  context.lineWidth = 2;
  context.strokeStyle = style.colour;
  context.stroke(path);
  context.setLineDash([]);
  if (Number.isFinite(top[1])) letterAt(context, style.letter, top[0] + style.aside, top[1] - 9, style.colour);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} letter
 * @param {number} x
 * @param {number} y
 * @param {string} colour
 */
function letterAt(context, letter, x, y, colour) {
  context.font = "600 14px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 3;
  context.strokeStyle = "rgba(0, 0, 0, 0.8)";
  context.strokeText(letter, x, y);
  context.fillStyle = colour;
  context.fillText(letter, x, y);
}
