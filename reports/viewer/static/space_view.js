// A case in space: NiiVue, asked of this page's server when somebody wants it and the browser has a graphics card for it.

const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;
const IN_SPACE = 2 ** 23; // voxels: a finer grid is drawn in blocks
const [SIGNED, UINT8, FLOAT32] = [2, 2, 16]; // NiiVue's type of colours under a threshold; two of NIfTI's types

besidePictures.push(spaceView);

/** The library, once it was asked for. @type {{asked?: Promise<any>}} */
const library = {};

/**
 * Why this browser draws nothing in space; null where it can.
 * @param {number[]} shape
 * @returns {string|null}
 */
function whyNotInSpace(shape) {
  const context = /** @type {HTMLCanvasElement} */ (element("canvas")).getContext("webgl2");
  if (context === null) return "this browser has no WebGL 2, or it is switched off";
  const named = context.getExtension("WEBGL_debug_renderer_info");
  const renderer = String(context.getParameter(named === null ? context.RENDERER : named.UNMASKED_RENDERER_WEBGL));
  const longest = context.getParameter(context.MAX_3D_TEXTURE_SIZE);
  context.getExtension("WEBGL_lose_context")?.loseContext();
  if (SOFTWARE.test(renderer)) return `this browser draws without a graphics card (${renderer}), which takes minutes`;
  return Math.max(...shape) > longest ? `this graphics card takes ${longest} voxels a side, and the image has more` : null;
}

/** Ask for the library and run it: the page's policy lets it run only if it is the one that the policy names. */
async function loadLibrary() {
  const answer = await fetch("library", { headers: { "X-Camaudit-Token": token() } });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const trusted = globalThis.trustedTypes?.createPolicy("camaudit-library", { createScript: (text) => text });
  const source = await answer.text();
  const node = /** @type {HTMLScriptElement} */ (element("script"));
  node.text = trusted === undefined ? source : trusted.createScript(source);
  document.head.append(node);
  node.remove();
  if (globalThis.niivue === undefined) throw new Error("the library did not run");
  return globalThis.niivue;
}

/**
 * The grid that is drawn: the image's, or blocks of its voxels, as of the reduced picture where there is one.
 * @param {any} scene
 */
function gridInSpace(scene) {
  const strides = scene.small === null ? [1, 1, 1] : [...scene.small.strides];
  const sides = () => scene.shape.map((size, axis) => Math.ceil(size / strides[axis]));
  while (sides().reduce((product, side) => product * side) > IN_SPACE) {
    strides[sides().indexOf(Math.max(...sides()))] += 1;
  }
  const shape = sides();
  const middle = strides.map((stride) => (stride - 1) / 2);
  const affine = scene.affine.slice(0, 3).map((row) => [
    ...strides.map((stride, axis) => stride * row[axis]),
    row[3] + middle.reduce((sum, index, axis) => sum + row[axis] * index, 0),
  ]);
  return { shape, strides, middle, affine, steps: stridesOf(shape) };
}

/** @param {any} grid @param {(at: number, block: number[]) => void} visit the array is the same each time */
function eachBlock({ shape }, visit) {
  const block = [0, 0, 0];
  let at = 0;
  for (block[0] = 0; block[0] < shape[0]; block[0] += 1) {
    for (block[1] = 0; block[1] < shape[1]; block[1] += 1) {
      for (block[2] = 0; block[2] < shape[2]; block[2] += 1, at += 1) visit(at, block);
    }
  }
}

/**
 * The image in blocks: of the reduced picture their greys, of exact values their means.
 * @param {any} scene
 * @param {any} grid
 * @returns {Float32Array}
 */
function imageInSpace({ shape, image, small }, grid) {
  const values = new Float32Array(grid.shape[0] * grid.steps[0]);
  if (small !== null) {
    const level = (small.high - small.low) / 255;
    const [first, second, third] = small.tables.map((table, axis) =>
      Int32Array.from({ length: grid.shape[axis] }, (_, block) => table[block * grid.strides[axis]]));
    eachBlock(grid, (at, [a, b, c]) => { values[at] = small.low + level * small.grey[first[a] + second[b] + third[c]]; });
    return values;
  }
  const counts = new Uint32Array(values.length);
  const [rows, columns, planes] = shape.map((size, axis) =>
    Int32Array.from({ length: size }, (_, index) => Math.floor(index / grid.strides[axis]) * grid.steps[axis]));
  let from = 0;
  for (const row of rows) for (const column of columns) for (const plane of planes) {
    const at = row + column + plane;
    values[at] += image.values[from];
    counts[at] += 1;
    from += 1;
  }
  return values.map((sum, at) => image.offset + (image.scale * sum) / counts[at]);
}

/**
 * A map at the blocks' middles, linear between its cells; NaN where the model did not see.
 * @param {any} scene
 * @param {any} map
 * @param {any} grid
 * @returns {Float32Array}
 */
function mapInSpace(scene, map, grid) {
  const values = new Float32Array(grid.shape[0] * grid.steps[0]);
  const middles = grid.shape.map((size, axis) =>
    Float64Array.from({ length: size }, (_, block) => Math.min(block * grid.strides[axis] + grid.middle[axis], scene.shape[axis] - 1)));
  middles[0].forEach((slice, at) => {
    const plane = values.subarray(at * grid.steps[0], (at + 1) * grid.steps[0]);
    sampleMap(map, { axis: 0, order: [1, 2] }, { rows: middles[1], columns: middles[2], slice }, plane);
  });
  return values;
}

/**
 * The surfaces of the experts' masks: the number of the reader, from 1; where several meet they take turns.
 * @param {any} scene
 * @param {any} grid
 * @returns {Uint8Array}
 */
function outlinesInSpace(scene, grid) {
  const marks = new Uint8Array(grid.shape[0] * grid.steps[0]);
  scene.masks.forEach(({ bits }, reader) => {
    const inside = new Uint8Array(marks.length);
    eachMarked(scene, bits, (voxel) => {
      inside[voxel.reduce((sum, index, axis) => sum + Math.floor(index / grid.strides[axis]) * grid.steps[axis], 0)] = 1;
    });
    eachBlock(grid, (at, block) => {
      if (inside[at] === 0) return;
      const isInner = block.every((index, axis) => index > 0 && index < grid.shape[axis] - 1
        && inside[at - grid.steps[axis]] === 1 && inside[at + grid.steps[axis]] === 1);
      const turn = (block[0] + block[1] + block[2]) % scene.masks.length;
      if (!isInner && (marks[at] === 0 || turn === reader)) marks[at] = 1 + (reader % OUTLINES.length);
    });
  });
  return marks;
}

/**
 * Values on a grid as a NIfTI file: our last axis, which runs fastest, is its first.
 * @param {Float32Array|Uint8Array} values
 * @param {any} grid
 * @returns {ArrayBuffer}
 */
function asNifti(values, { shape, affine }) {
  const file = new Uint8Array(352 + values.byteLength);
  const head = new DataView(file.buffer);
  const put = (place, numbers) => numbers.forEach((number, at) => head.setFloat32(place + 4 * at, number, true));
  head.setInt32(0, 348, true);
  [3, shape[2], shape[1], shape[0], 1, 1, 1, 1].forEach((size, at) => head.setInt16(40 + 2 * at, size, true));
  head.setInt16(70, values instanceof Uint8Array ? UINT8 : FLOAT32, true);
  head.setInt16(72, 8 * values.BYTES_PER_ELEMENT, true);
  put(76, [1, ...[2, 1, 0].map((axis) => Math.hypot(...affine.map((row) => row[axis])))]);
  put(108, [352, 1, 0]); // where values begin, their scale and offset
  head.setUint8(123, 2); // millimetres
  head.setInt16(254, 1, true); // of the scanner
  affine.forEach((row, at) => put(280 + 16 * at, [row[2], row[1], row[0], row[3]]));
  file.set([110, 43, 49], 344); // "n+1"
  file.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), 352);
  return file.buffer;
}

/**
 * The voxel of the image at a place in the patient.
 * @param {any} scene
 * @param {number[]} place
 * @returns {number[]}
 */
function voxelOf(scene, place) {
  const [a, b, c] = [0, 1, 2].map((axis) => scene.affine.slice(0, 3).map((row) => row[axis]));
  const far = scene.affine.slice(0, 3).map((row, axis) => place[axis] - row[3]);
  const cross = (p, q) => [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]];
  const dot = (p, q) => p[0] * q[0] + p[1] * q[1] + p[2] * q[2];
  const volume = dot(a, cross(b, c));
  return [cross(b, c), cross(c, a), cross(a, b)].map((normal, axis) =>
    Math.min(Math.max(Math.round(dot(far, normal) / volume), 0), scene.shape[axis] - 1));
}

/** @param {number[][]} stops @returns {any} NiiVue's table of colours; nothing is drawn at 0 */
const coloursOf = (stops) => ({
  ...Object.fromEntries(["R", "G", "B"].map((name, part) => [name, [stops[0][part], ...stops.map((stop) => stop[part])]])),
  A: [0, ...stops.map(() => 255)],
  I: [0, ...stops.map((_, at) => Math.max(1, Math.round((255 * at) / (stops.length - 1))))],
});

/** @param {any[]} masks @returns {any} a colour for each reader */
function readerColours(masks) {
  const colours = masks.map((_, reader) => outlineOf(reader).colour);
  const part = (at) => [0, ...colours.map((colour) => parseInt(colour.slice(at, at + 2), 16))];
  return { R: part(1), G: part(3), B: part(5), A: [0, ...colours.map(() => 255)], I: [0, ...colours.map((_, at) => at + 1)],
    labels: ["", ...masks.map(({ reader }) => reader)] };
}

/** A case's volume, map and outlines on a canvas of NiiVue's, which follows the panes. */
class Space {
  /** @param {any} niivue @param {Panes} panes @param {any} scene */
  constructor(niivue, panes, scene) {
    Object.assign(this, { niivue, panes, scene, grid: gridInSpace(scene), drawn: "" });
    this.canvas = /** @type {HTMLCanvasElement} */ (element("canvas", { tabindex: "0", "aria-label": "the case in space" }));
    this.viewer = new niivue.Niivue({ dragAndDropEnabled: false, isSliceMM: true, multiplanarShowRender: 1, sliceType: 3,
      isOrientationTextVisible: scene.oriented, showAllOrientationMarkers: true, logLevel: "error", loadingText: "",
      viewModeHotKey: "", clipPlaneHotKey: "", cycleClipPlaneHotKey: "",
      sagittalNoseLeft: true, fontColor: [1, 1, 1, 1], crosshairColor: [0.49, 1, 0.49, 1], crosshairWidth: 0.3,
      crosshairWidthUnit: "percent", crosshairGap: 2 });
  }

  /** Draw it; the canvas stands in the page. */
  async open() {
    const { viewer, scene, grid } = this;
    await viewer.attachToCanvas(this.canvas);
    viewer.addColormap("camaudit-for", coloursOf(WARM));
    viewer.addColormap("camaudit-against", coloursOf(COLD));
    this.layers = [await this.layer("image", imageInSpace(scene, grid), { colormap: "gray" })];
    const outlines = await this.layer("outlines", outlinesInSpace(scene, grid), {});
    outlines.setColormapLabel(readerColours(scene.masks));
    this.layers.push(outlines);
    await this.lay();
    viewer.onLocationChange = ({ mm }) => this.follow([...mm].slice(0, 3));
    this.point();
  }

  /** @param {string} name @param {Float32Array|Uint8Array} values @param {any} options */
  layer(name, values, options) {
    const buffer = asNifti(values, this.grid);
    return this.niivue.NVImage.loadFromUrl({ url: `${name}.nii`, name: `${name}.nii`, buffer, ...options });
  }

  /** Put the layers above each other: the image, the map that is chosen, the outlines. */
  async lay() {
    const { viewer, scene, panes } = this;
    const map = scene.maps.get(panes.map);
    this.map = panes.map;
    const colours = { colormap: "camaudit-for", colormapNegative: "camaudit-against" };
    const heat = map === undefined ? [] : [await this.layer("map", mapInSpace(scene, map, this.grid), colours)];
    const [image, outlines] = this.layers;
    this.heat = heat[0];
    viewer.volumes = [image, ...heat, outlines];
    viewer.setVolume(image, 0);
    this.colour();
  }

  /** Draw anew with the panes' window, threshold and what of it is shown. */
  colour() {
    const { viewer, panes, heat } = this;
    const look = panes.look();
    const [image, outlines] = this.layers;
    Object.assign(image, { cal_min: look.low, cal_max: look.high });
    outlines.opacity = panes.outlinesShown ? 1 : 0;
    const cold = look.negative ? [-look.range, -look.threshold] : [-3e38, -2e38];
    if (heat !== undefined) Object.assign(heat, { cal_min: look.threshold, cal_max: look.range, cal_minNeg: cold[0],
      cal_maxNeg: cold[1], colormapType: SIGNED, opacity: panes.mapShown ? look.opacity : 0 });
    viewer.opts.isRadiologicalConvention = !panes.neurological;
    viewer.updateGLVolume();
  }

  /** Put NiiVue's cross where that of the panes is. */
  point() {
    this.cross = String(this.panes.cross);
    this.viewer.scene.crosshairPos = this.viewer.mm2frac(worldOf(this.scene, this.panes.cross));
    this.viewer.drawScene();
  }

  /** Put the panes' cross where NiiVue's is: the value and place under it are the panes' to say. @param {number[]} place */
  follow(place) {
    const voxel = voxelOf(this.scene, place);
    this.cross = String(voxel);
    if (this.cross !== String(this.panes.cross)) this.panes.moveTo(voxel);
  }

  /** Do what the panes did. */
  update() {
    const { panes } = this;
    const shown = [panes.look(), panes.mapShown, panes.outlinesShown, panes.neurological, panes.map];
    if (this.cross !== String(panes.cross)) this.point();
    if (this.drawn === JSON.stringify(shown)) return;
    this.drawn = JSON.stringify(shown);
    if (panes.map === this.map) this.colour();
    else this.lay();
  }

  close() {
    this.viewer.cleanup();
    this.viewer.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/**
 * The button that shows a volume in space, and what it shows; nothing for single planes.
 * @param {Panes} panes
 * @param {any} scene
 * @returns {{node: HTMLElement, close: () => void}}
 */
function spaceView(panes, scene) {
  const state = element("p", { class: "quiet" });
  const place = element("div", { class: "drawn" });
  const node = element("div", { class: "space" });
  const known = { space: undefined, closed: false, waits: false };
  const close = () => {
    known.closed = true;
    known.space?.close();
    known.space = undefined;
    place.replaceChildren();
  };
  const say = (text) => { close(); state.textContent = text; };
  const open = async () => {
    const why = whyNotInSpace(gridInSpace(scene).shape);
    if (why !== null) return say(`No 3D view: ${why}. The planes above show the same.`);
    try {
      state.textContent = "Loading the 3D view\u2026";
      library.asked ??= loadLibrary();
      const space = new Space(await library.asked, panes, scene);
      place.replaceChildren(space.canvas);
      space.canvas.addEventListener("webglcontextlost", () => {
        if (known.space === space) say("The graphics card gave the 3D view up. The planes above show the same.");
      });
      await space.open();
      if (!place.contains(space.canvas)) return space.close();
      known.space = space;
      node.dataset.ready = "true";
      const blocks = space.grid.strides.some((stride) => stride > 1);
      const coarse = blocks ? ` Drawn in blocks of ${space.grid.strides.join(" x ")} voxels.` : "";
      const measure = scene.oriented ? "In millimetres of the patient" : "The patient's directions are not known";
      state.textContent = `${measure}; the cross is that of the planes above. What the model did not see is not marked`
        + ` here.${coarse} Not for diagnosis.`;
    } catch (fault) {
      say(`No 3D view: ${fault.message}. The planes above show the same.`);
    }
  };
  if (scene.shape.length !== 3) return { node, close };
  node.append(button("3D view", () => { shown.remove(); open(); }, { class: "in-space" }), state, place);
  const shown = node.firstElementChild;
  panes.onChange(() => {
    if (known.waits || known.space === undefined) return;
    known.waits = true;
    requestAnimationFrame(() => { known.waits = false; known.space?.update(); });
  });
  return { node, close };
}
