// The panes of a case and what they share: slice, window, map, threshold, and who is moved by what.

class Panes {
  /**
   * @param {any} said what the run says of the case's pictures
   * @param {any[]} scenes
   */
  constructor(said, scenes) {
    Object.assign(this, { said, scenes, neurological: false, outlinesShown: true, crossShown: true, mapShown: true });
    Object.assign(this, { opacity: 0.5, negative: true, listeners: [], scene: 0 });
    this.node = element("div", { class: "panes" });
    this.setWindow(0);
    this.setMap(said.maps[0]?.name ?? "");
    this.showScene(0);
    this.resized = new ResizeObserver(() => this.refit());
    this.resized.observe(this.node);
  }

  /** Be told after each change. @param {() => void} listener */
  onChange(listener) {
    this.listeners.push(listener);
  }

  tell() {
    for (const listener of this.listeners) listener();
  }

  /** Stop watching the page: the case is closed. */
  close() {
    this.resized.disconnect();
  }

  /** Show a scene: a volume in its planes, or one of the planes that the run kept. @param {number} number */
  showScene(number) {
    this.scene = Math.min(Math.max(number, 0), this.scenes.length - 1);
    const scene = this.scenes[this.scene];
    this.cross = this.startingPlace(scene);
    this.panes = scene.planes.map((plane) => new Pane(scene, plane, this));
    this.active = this.panes[0];
    for (const pane of this.panes) listenTo(pane, this);
    this.node.replaceChildren(...this.panes.map((pane) => pane.node));
    this.node.dataset.planes = String(this.panes.length);
    this.refit();
  }

  /** The middle of the first mask that marks something, else the map's peak, else the middle. */
  startingPlace(scene) {
    for (const { bits } of scene.masks) {
      const middle = middleOf(scene, bits);
      if (middle !== null) return middle;
    }
    const map = scene.maps.get(this.map);
    return map === undefined ? scene.shape.map((size) => Math.floor(size / 2)) : peakOf(scene, map);
  }

  /** What of the map is above the threshold, and how colours are spread. */
  look() {
    const [low, high] = this.window;
    const range = Math.max(Math.abs(this.said.maps[this.mapNumber]?.range[0] ?? 0), this.highest, 1e-30);
    return { low, high, range, threshold: this.step.threshold, opacity: this.opacity, negative: this.negative };
  }

  /** The scores' step of the slider. */
  get step() {
    return this.steps[this.place];
  }

  setWindow(number) {
    this.windowNumber = number;
    const [, low, high] = this.said.windows[number];
    this.window = [low, high];
  }

  setMap(name) {
    this.map = name;
    this.mapNumber = this.said.maps.findIndex((map) => map.name === name);
    const map = this.said.maps[this.mapNumber];
    this.highest = map === undefined ? 0 : Math.max(map.range[1], 0);
    this.steps = map === undefined ? [{ threshold: 0, region: null, common: {}, drawn: false }] : thresholdsOf(map);
    this.place = Math.max(0, this.steps.findIndex((step) => step.drawn));
  }

  /** Move through the planes of a pane; through the kept planes where a pane has one only. */
  scroll(pane, steps) {
    const { axis } = pane.plane;
    if (axis === null) {
      if (this.scenes.length > 1) this.showScene(this.scene + steps);
      return;
    }
    const cross = [...this.cross];
    cross[axis] = Math.min(Math.max(cross[axis] + steps, 0), pane.slices - 1);
    this.moveTo(cross);
  }

  /** Put the cross at a voxel; only panes whose plane changes are read anew. */
  moveTo(voxel) {
    const before = this.cross;
    this.cross = voxel;
    for (const pane of this.panes) {
      if (pane.plane.axis !== null && before[pane.plane.axis] !== voxel[pane.plane.axis]) pane.read();
      else pane.overlay();
    }
    this.tell();
  }

  refit() {
    for (const pane of this.panes) pane.fit();
    this.read();
  }

  read() {
    for (const pane of this.panes) pane.read();
    this.tell();
  }

  paint() {
    for (const pane of this.panes) pane.paint();
    this.tell();
  }

  reset() {
    for (const pane of this.panes) Object.assign(pane, { zoom: 1, pan: [0, 0] });
    this.setWindow(0);
    this.setMap(this.map);
    this.read();
  }
}

/**
 * Wheel: slices; with Ctrl: zoom. Press and move: the cross; with Shift: the picture; with the right button: the window.
 * @param {Pane} pane
 * @param {Panes} panes
 */
function listenTo(pane, panes) {
  const { canvas } = pane;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * canvas.width) / box.width,
            ((event.clientY - box.top) * canvas.height) / box.height];
  };
  const voxel = (event) => voxelAt(pane.scene, pane.plane, pane.place, pane.slice, ...at(event));
  canvas.addEventListener("focus", () => { panes.active = pane; });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const zooms = event.ctrlKey || panes.scenes.length * pane.slices === 1;
    if (zooms) zoomAt(pane, at(event), event.deltaY < 0 ? 1.15 : 1 / 1.15);
    else panes.scroll(pane, Math.sign(event.deltaY));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pane.pressed = [event.clientX, event.clientY];
    panes.active = pane;
    if (event.button === 0 && !event.shiftKey) pointTo(panes, voxel(event));
  });
  canvas.addEventListener("pointerup", () => { pane.pressed = undefined; });
  canvas.addEventListener("pointermove", (event) => {
    panes.under = { pane, voxel: voxel(event) };
    if (pane.pressed !== undefined) drag(pane, panes, event, voxel(event));
    panes.tell();
  });
  canvas.addEventListener("pointerleave", () => { panes.under = undefined; panes.tell(); });
}

/** @param {Panes} panes @param {number[]|null} voxel */
function pointTo(panes, voxel) {
  if (voxel !== null) panes.moveTo(voxel);
}

/** @param {Pane} pane @param {number[]} at @param {number} factor */
function zoomAt(pane, at, factor) {
  const zoom = Math.min(Math.max(pane.zoom * factor, 1), 20);
  const change = zoom / pane.zoom;
  const { width, height } = pane.canvas;
  pane.pan = [at[0] - width / 2 - (at[0] - width / 2 - pane.pan[0]) * change,
              at[1] - height / 2 - (at[1] - height / 2 - pane.pan[1]) * change];
  pane.zoom = zoom;
  if (zoom === 1) pane.pan = [0, 0];
  pane.read();
}

/** @param {Pane} pane @param {Panes} panes @param {PointerEvent} event @param {number[]|null} voxel */
function drag(pane, panes, event, voxel) {
  const [dx, dy] = [event.clientX - pane.pressed[0], event.clientY - pane.pressed[1]];
  if ((event.buttons & 1) !== 0 && !event.shiftKey) {
    pointTo(panes, voxel);
    return;
  }
  pane.pressed = [event.clientX, event.clientY];
  if ((event.buttons & 1) !== 0) {
    pane.pan = [pane.pan[0] + dx, pane.pan[1] + dy];
    pane.read();
  } else if ((event.buttons & 2) !== 0) {
    const [low, high] = panes.window;
    const width = Math.max((high - low) * (1 + dx / 200), 1e-6);
    const centre = (low + high) / 2 - (dy / 200) * (high - low);
    panes.window = [centre - width / 2, centre + width / 2];
    panes.windowNumber = -1;
    panes.paint();
  }
}

/**
 * Call a function with each marked voxel; a mask may have millions, so none is kept.
 * @param {any} scene
 * @param {Uint8Array} bits
 * @param {(voxel: number[]) => void} visit the array is the same each time
 */
function eachMarked(scene, bits, visit) {
  const { shape, strides } = scene;
  const voxel = shape.map(() => 0);
  for (let byte = 0; byte < bits.length; byte += 1) {
    if (bits[byte] === 0) continue;
    for (let bit = 0; bit < 8; bit += 1) {
      if (((bits[byte] >> (7 - bit)) & 1) === 0) continue;
      const index = 8 * byte + bit;
      for (let axis = 0; axis < shape.length; axis += 1) voxel[axis] = Math.floor(index / strides[axis]) % shape[axis];
      visit(voxel);
    }
  }
}

/**
 * The marked voxel nearest to the mean place of a mask's voxels; null for an empty mask.
 * @param {any} scene
 * @param {Uint8Array} bits
 * @returns {number[]|null}
 */
function middleOf(scene, bits) {
  const sums = scene.shape.map(() => 0);
  let count = 0;
  eachMarked(scene, bits, (voxel) => {
    count += 1;
    for (let axis = 0; axis < sums.length; axis += 1) sums[axis] += voxel[axis];
  });
  if (count === 0) return null;
  let [best, least] = [null, Infinity];
  eachMarked(scene, bits, (voxel) => {
    let far = 0;
    for (let axis = 0; axis < sums.length; axis += 1) far += (voxel[axis] - sums[axis] / count) ** 2;
    if (far < least) [best, least] = [[...voxel], far];
  });
  return best;
}

/**
 * The voxel nearest to the centre of the map's highest cell.
 * @param {any} scene
 * @param {any} map
 * @returns {number[]}
 */
function peakOf(scene, map) {
  let best = 0;
  for (let at = 1; at < map.values.length; at += 1) if (map.values[at] > map.values[best]) best = at;
  const cell = map.strides.map((stride, axis) => Math.floor(best / stride) % map.shape[axis]);
  const size = scene.shape.map((length, axis) => {
    const along = map.step.findIndex((row, number) => number < cell.length && Math.abs(row[axis]) > 1e-9);
    const index = along < 0 ? length / 2 : (cell[along] - map.step[along][3]) / map.step[along][axis];
    return Math.min(Math.max(Math.round(index), 0), length - 1);
  });
  return size;
}
