// A case's arrays: out of the page or from the server, unpacked, and named by their references.

const ARRAY_TYPES = { int16: Int16Array, uint8: Uint8Array, float32: Float32Array, float64: Float64Array };

/** Packed cases that were taken out of the page once. @type {Map<string, Uint8Array>} */
const takenOut = new Map();

/** The token in the address of a served page; it goes with every request. @returns {string} */
const token = () => location.pathname.split("/")[1] ?? "";

/**
 * @param {string} text base64
 * @returns {Uint8Array}
 */
function fromBase64(text) {
  if (typeof Uint8Array.fromBase64 === "function") return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let place = 0; place < binary.length; place += 1) bytes[place] = binary.charCodeAt(place);
  return bytes;
}

/**
 * @param {Uint8Array} bytes gzip
 * @returns {Promise<ArrayBuffer>}
 */
const unpacked = (bytes) =>
  new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();

/**
 * A case's bytes: taken out of the page, which then holds them no longer, or asked of the server.
 * @param {{block?: string, url?: string}} facts
 * @returns {Promise<ArrayBuffer>}
 */
async function caseBytes(facts) {
  if (facts.url !== undefined) {
    const answer = await fetch(facts.url, { headers: { "X-Camaudit-Token": token() } });
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    return answer.arrayBuffer();
  }
  const name = facts.block ?? "";
  if (!takenOut.has(name)) {
    const node = document.getElementById(name);
    if (node === null) throw new Error("this page holds no pictures of the case");
    takenOut.set(name, fromBase64(node.textContent ?? ""));
    node.remove();
  }
  return unpacked(takenOut.get(name) ?? new Uint8Array());
}

/**
 * Read the header and give a function that finds an array by its reference.
 * @param {ArrayBuffer} buffer
 */
function opened(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const start = 4 + length;
  const array = (reference) => new ARRAY_TYPES[reference.type](buffer, start + reference.at, reference.length);
  return { header, array };
}
