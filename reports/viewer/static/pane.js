// One plane on one canvas: read when the slice, the zoom or the map changes, painted anew when only colours do.

class Pane {
  /**
   * @param {any} scene
   * @param {any} plane
   * @param {any} view what all panes share: see panes.js
   */
  constructor(scene, plane, view) {
    Object.assign(this, { scene, plane, view, zoom: 1, pan: [0, 0], outlines: new Map() });
    this.canvas = /** @type {HTMLCanvasElement} */ (element("canvas", { tabindex: "0", role: "img" }));
    this.caption = element("figcaption");
    this.node = element("figure", { class: "pane" }, this.canvas, this.caption);
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
  }

  /** The plane's number, from 0; of a picture always 0. @returns {number} */
  get slice() {
    return this.plane.axis === null ? 0 : this.view.cross[this.plane.axis];
  }

  /** How many planes there are. @returns {number} */
  get slices() {
    return this.plane.axis === null ? 1 : this.scene.shape[this.plane.axis];
  }

  /** Take the size that the page gives, in whole pixels. */
  fit() {
    const box = this.node.getBoundingClientRect();
    const width = Math.max(64, Math.round(box.width));
    const height = Math.max(64, Math.round(box.height - this.caption.getBoundingClientRect().height));
    if (width === this.canvas.width && height === this.canvas.height) return;
    this.canvas.width = width;
    this.canvas.height = height;
  }

  /** Read image and map at every pixel, then paint. */
  read() {
    const { width, height } = this.canvas;
    const look = { zoom: this.zoom, pan: this.pan, neurological: this.view.neurological };
    this.place = placement(this.scene.shape, this.plane, this.canvas, look);
    const voxels = { ...indicesOf(this.place, this.canvas), slice: this.slice };
    const pixels = width * height;
    if (this.room?.image.length !== pixels) {
      this.room = { image: new Float32Array(pixels), kind: new Uint8Array(pixels), map: new Float32Array(pixels) };
    }
    this.room.kind.fill(0);
    this.values = { ...this.room, map: null };
    sampleImage(this.scene, this.plane, voxels, this.values);
    const map = this.scene.maps.get(this.view.map);
    if (map !== undefined) {
      this.values.map = this.room.map;
      sampleMap(map, this.plane, voxels, this.values.map);
    }
    this.paint();
  }

  /** Paint what was read: pixels, and what the model did not see; then all that lies over them. */
  paint() {
    const { width, height } = this.canvas;
    if (this.pixels?.width !== width || this.pixels.height !== height) this.pixels = new ImageData(width, height);
    paint(this.view.mapShown ? this.values : { ...this.values, map: null }, this.view.look(), this.pixels.data);
    if (this.values.map !== null && this.view.mapShown) markUnseen(this.values, this.pixels);
    this.overlay();
  }

  /** Put the painted pixels down, and over them outlines, box, cross and letters. */
  overlay() {
    this.context.putImageData(this.pixels, 0, 0);
    if (this.view.outlinesShown) this.drawOutlines();
    this.drawBox();
    if (this.view.crossShown) this.drawCross();
    this.drawLetters();
    this.describe();
  }

  drawOutlines() {
    this.scene.masks.forEach(({ reader, bits }, number) => {
      const key = `${reader}/${this.slice}`;
      if (!this.outlines.has(key)) {
        this.outlines.set(key, outlinesOf(planeOfMask(this.scene, bits, this.plane, this.slice)));
      }
      drawOutlines(this.context, this.outlines.get(key), this.place, outlineOf(number));
    });
  }

  /** Draw where the exact values end, where there are others. */
  drawBox() {
    const { image, small } = this.scene;
    if (small === null) return;
    const [rowAxis, columnAxis] = this.plane.order;
    const corner = (end) => {
      const voxel = [...image.origin];
      for (const axis of [rowAxis, columnAxis]) voxel[axis] += end * (image.shape[axis] - 1);
      return pixelOf(this.plane, this.place, voxel);
    };
    const [[x0, y0], [x1, y1]] = [corner(0), corner(1)];
    const [padX, padY] = [this.place.scaleX / 2, this.place.scaleY / 2];
    this.context.setLineDash([1, 5]);
    this.context.lineWidth = 1;
    this.context.strokeStyle = "rgba(255, 255, 255, 0.7)";
    const [left, top] = [Math.min(x0, x1) - padX, Math.min(y0, y1) - padY];
    this.context.strokeRect(left, top, Math.abs(x1 - x0) + 2 * padX, Math.abs(y1 - y0) + 2 * padY);
    this.context.setLineDash([]);
  }

  /** Draw the cross as four short lines that leave the voxel itself free. */
  drawCross() {
    const [x, y] = pixelOf(this.plane, this.place, this.view.cross);
    const gap = Math.max(8, this.place.scaleX, this.place.scaleY);
    this.context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      this.context.moveTo(x + gap * dx, y + gap * dy);
      this.context.lineTo(x + (gap + 14) * dx, y + (gap + 14) * dy);
    }
    this.context.lineWidth = 1.5;
    this.context.strokeStyle = "#7dff7d";
    this.context.stroke();
  }

  drawLetters() {
    const [left, right, top, bottom] = lettersOf(this.plane, this.place.mirrored);
    const { width, height } = this.canvas;
    letterAt(this.context, left, 12, height / 2, "#ffffff");
    letterAt(this.context, right, width - 12, height / 2, "#ffffff");
    letterAt(this.context, top, width / 2, 12, "#ffffff");
    letterAt(this.context, bottom, width / 2, height - 12, "#ffffff");
  }

  /** Say in words, and as data for who measures, what the canvas shows. */
  describe() {
    const { place, plane, canvas } = this;
    const number = plane.axis === null ? "" : ` ${this.slice + 1} / ${this.slices}`;
    const zoomed = this.zoom === 1 ? "" : `, \u00d7${this.zoom.toFixed(1)}`;
    const sides = turnsSides(plane) ? (place.mirrored ? ", neurological" : ", radiological") : "";
    this.caption.textContent = `${this.scene.title || plane.name}${number}${zoomed}${sides}`;
    canvas.setAttribute("aria-label", `${this.caption.textContent}: image with map and outlines`);
    Object.assign(canvas.dataset, { plane: plane.name, slice: String(this.slice), mirrored: String(place.mirrored),
      letters: lettersOf(plane, place.mirrored).join(" ") });
  }
}

/**
 * Read the image at every pixel: its exact values (kind 1), else the reduced picture's (2); 0 is beside the image.
 * @param {any} scene
 * @param {any} plane
 * @param {{rows: Int32Array, columns: Int32Array, slice: number}} voxels
 * @param {{image: Float32Array, kind: Uint8Array}} values
 */
function sampleImage(scene, plane, voxels, values) {
  const { image, small } = scene;
  const [rowAxis, columnAxis] = plane.order;
  const { rows, columns, slice } = voxels;
  const of = (tables, axis, index) => (axis === null ? 0 : tables[axis][index]);
  const exactSlice = of(image.tables, plane.axis, slice);
  const exact = Int32Array.from(columns, (index) => (index < 0 ? -1 : image.tables[columnAxis][index]));
  const reduced = small && {
    slice: of(small.tables, plane.axis, slice),
    columns: Int32Array.from(columns, (index) => (index < 0 ? -1 : small.tables[columnAxis][index])),
  };
  for (let y = 0; y < rows.length; y += 1) {
    if (rows[y] < 0) continue;
    const start = y * columns.length;
    const exactRow = image.tables[rowAxis][rows[y]];
    if (reduced !== null) smallLine(small, small.tables[rowAxis][rows[y]] + reduced.slice, reduced.columns, values, start);
    if (exactRow >= 0 && exactSlice >= 0) exactLine(image, exactRow + exactSlice, exact, values, start);
  }
}

/** @param {any} image @param {number} from @param {Int32Array} columns @param {any} values @param {number} start */
function exactLine(image, from, columns, values, start) {
  const { offset, scale, values: kept } = image;
  const { image: shown, kind } = values;
  for (let x = 0; x < columns.length; x += 1) {
    if (columns[x] < 0) continue;
    shown[start + x] = offset + scale * kept[from + columns[x]];
    kind[start + x] = 1;
  }
}

/** @param {any} small @param {number} from @param {Int32Array} columns @param {any} values @param {number} start */
function smallLine(small, from, columns, values, start) {
  const { low, grey } = small;
  const level = (small.high - low) / 255;
  const { image: shown, kind } = values;
  for (let x = 0; x < columns.length; x += 1) {
    if (columns[x] < 0) continue;
    shown[start + x] = low + level * grey[from + columns[x]];
    kind[start + x] = 2;
  }
}

/**
 * Hatch what the model did not see.
 * @param {{map: Float32Array, kind: Uint8Array}} values
 * @param {ImageData} pixels
 */
function markUnseen(values, pixels) {
  const { width, data } = pixels;
  for (let at = 0; at < values.map.length; at += 1) {
    if (values.kind[at] === 0 || !Number.isNaN(values.map[at])) continue;
    const diagonal = (at % width) + Math.floor(at / width);
    if (diagonal % 8 === 0) data.set([90, 110, 150], 4 * at);
  }
}
