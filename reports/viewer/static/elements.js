// Elements from text. Nothing here or elsewhere reads a string as markup: a hostile one stays a string.

/**
 * Make an element; children that are strings become text.
 * @param {string} name
 * @param {Object<string, string>} [attributes]
 * @param {...(Node|string)} children
 * @returns {HTMLElement}
 */
function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/**
 * A string from the run, set apart: its direction of writing cannot turn what stands beside it.
 * @param {string} text
 * @returns {HTMLElement}
 */
const said = (text) => element("bdi", {}, text);

/**
 * A labelled control.
 * @param {string} label
 * @param {HTMLElement} control
 * @returns {HTMLElement}
 */
const labelled = (label, control) => element("label", { class: "field" }, element("span", {}, label), control);

/**
 * A button that does something.
 * @param {string} text
 * @param {() => void} action
 * @param {Object<string, string>} [attributes]
 * @returns {HTMLElement}
 */
function button(text, action, attributes = {}) {
  const node = element("button", { type: "button", ...attributes }, text);
  node.addEventListener("click", action);
  return node;
}

/**
 * A list to choose from; entries are [value, text].
 * @param {Array<[string, string]>} entries
 * @param {(value: string) => void} changed
 * @returns {HTMLSelectElement}
 */
function choice(entries, changed) {
  const node = /** @type {HTMLSelectElement} */ (element("select"));
  for (const [value, text] of entries) node.append(element("option", { value }, text));
  node.addEventListener("change", () => changed(node.value));
  return node;
}

/**
 * A table: heads, then rows of strings or nodes.
 * @param {string[]} heads
 * @param {Array<Array<string|Node>>} rows
 * @returns {HTMLElement}
 */
function table(heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, said(text))));
  const body = rows.map((cells) =>
    element("tr", {}, ...cells.map((cell) => element("td", {}, typeof cell === "string" ? said(cell) : cell))),
  );
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

/**
 * A number with three significant digits, a minus sign in place of a hyphen; a dash for none.
 * @param {number|null|undefined} value
 * @returns {string}
 */
function numeral(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "\u2013";
  const size = Math.abs(value);
  const text = size >= 100 && size < 1e6 ? size.toFixed(0) : String(Number(size.toPrecision(3)));
  return value < 0 && Number(text) !== 0 ? `\u2212${text}` : text;
}
