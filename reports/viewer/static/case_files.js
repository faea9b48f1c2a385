// Whole volumes beside the page: a page that lies on a disk may read no file but one that its reader picks.
// Each is held against the hash that the page names before anything of it is used; none of them is run.

/** What was picked, by name. @type {Map<string, File>} */
const pickedFiles = new Map();

/**
 * The content of a file that was picked, if it is the one that the page was written with.
 * @param {{name: string, sha256: string}} file
 * @returns {Promise<ArrayBuffer>}
 */
async function pickedContent({ name, sha256 }) {
  const packed = await pickedFiles.get(name).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", packed));
  if ([...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") !== sha256) {
    throw new Error(`${name} is not the file that this page was written with: it was changed, or is another run's`);
  }
  return unpacked(new Uint8Array(packed));
}

/**
 * What asks for a case's file; `picked` is called when it is there.
 * @param {{folder: string, name: string, bytes: number}} file
 * @param {() => void} picked
 * @returns {{node: HTMLElement, say: (text: string) => void}}
 */
function filePicker({ folder, name, bytes }, picked) {
  const input = /** @type {HTMLInputElement} */ (element("input", { type: "file", multiple: "", accept: ".case" }));
  const state = element("output", { class: "state" });
  const say = (text) => { state.textContent = text; };
  input.addEventListener("change", () => {
    for (const file of input.files) pickedFiles.set(file.name, file);
    if (pickedFiles.has(name)) picked();
    else say(`${name} is not among them.`);
  });
  const size = (bytes / 1e6).toFixed(0);
  const words = `Planes of the report. The whole volume is ${folder}/${name} (${size} MB), beside this page: pick it, or all`;
  return { node: element("div", { class: "row picker" }, labelled(`${words} files of that folder at once.`, input), state), say };
}
