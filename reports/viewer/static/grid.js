// A scene: an image on its grid, with masks. Where a voxel's value stands is a sum of one number for each axis.

/**
 * Row-major strides of a shape.
 * @param {number[]} shape
 * @returns {number[]}
 */
function stridesOf(shape) {
  const strides = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis -= 1) strides[axis] = strides[axis + 1] * shape[axis + 1];
  return strides;
}

/**
 * For each axis a table from a voxel's index to its part of the offset among the exact values; -1: not kept.
 * @param {number[]} shape the whole grid
 * @param {{shape: number[], origin: number[]}} kept
 * @returns {Int32Array[]}
 */
function exactTables(shape, kept) {
  const strides = stridesOf(kept.shape);
  return shape.map((size, axis) =>
    Int32Array.from({ length: size }, (_, index) => {
      const within = index - kept.origin[axis];
      return within < 0 || within >= kept.shape[axis] ? -1 : within * strides[axis];
    }),
  );
}

/**
 * The same for the reduced picture: planes across the last axis lie beside and below each other on a sheet.
 * @param {number[]} shape the whole grid
 * @param {{shape: number[], strides: number[], columns: number}} small
 * @param {number} width of the sheet
 * @returns {Int32Array[]}
 */
function smallTables(shape, small, width) {
  const [rows, across] = small.shape;
  const part = [
    (index) => index * width,
    (index) => index,
    (index) => Math.floor(index / small.columns) * rows * width + (index % small.columns) * across,
  ];
  return shape.map((size, axis) =>
    Int32Array.from({ length: size }, (_, index) => part[axis](Math.floor(index / small.strides[axis]))),
  );
}

/**
 * The grey values of the reduced picture's sheet.
 * @param {Uint8Array} webp
 * @returns {Promise<{grey: Uint8Array, width: number}>}
 */
async function sheetOf(webp) {
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(new Blob([webp], { type: "image/webp" }), options);
  const canvas = /** @type {HTMLCanvasElement} */ (element("canvas"));
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  const grey = new Uint8Array(bitmap.width * bitmap.height);
  for (let place = 0; place < grey.length; place += 1) grey[place] = pixels[4 * place];
  bitmap.close();
  return { grey, width: canvas.width };
}

/**
 * Open a scene of a case.
 * @param {any} facts
 * @param {(reference: any) => any} array
 */
async function openScene(facts, array) {
  const image = { ...facts.image, values: array(facts.image.values) };
  image.tables = exactTables(facts.shape, image);
  let small = null;
  if (facts.small !== null) {
    const sheet = await sheetOf(array(facts.small.webp));
    small = { ...facts.small, ...sheet, tables: smallTables(facts.shape, facts.small, sheet.width) };
  }
  const masks = Object.entries(facts.masks).map(([reader, reference]) => ({ reader, bits: array(reference) }));
  const maps = new Map(Object.entries(facts.maps).map(([name, map]) => [name, openMap(map, array)]));
  return { ...facts, strides: stridesOf(facts.shape), image, small, masks, maps };
}

/**
 * The image's exact value at a voxel, null where it is not kept.
 * @param {any} scene
 * @param {number[]} voxel
 * @returns {number|null}
 */
function exactValue(scene, voxel) {
  const { image } = scene;
  const parts = voxel.map((index, axis) => image.tables[axis][index]);
  if (parts.some((part) => part < 0)) return null;
  return image.offset + image.scale * image.values[parts.reduce((sum, part) => sum + part, 0)];
}

/**
 * Where a voxel's centre lies in the patient (RAS+), null where the grid has no place there.
 * @param {any} scene
 * @param {number[]} voxel
 * @returns {number[]|null}
 */
function worldOf(scene, voxel) {
  if (scene.affine === null) return null;
  return [0, 1, 2].map((row) =>
    voxel.reduce((sum, index, axis) => sum + scene.affine[row][axis] * index, scene.affine[row][3]),
  );
}
