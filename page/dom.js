/**
 * Elements are made here. Text is always a text node, so that whatever a server, a file name or a label says stays
 * text.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element.
 *
 * @param {string} tag the name, with classes behind dots: `p.note`
 * @param {Object<string, unknown>} [props] `on`: listeners by event; `style`: CSS properties, set through the CSSOM;
 *   names with a dash and `role`, `for`: attributes; everything else: properties
 * @param {...(Node|string|number|null|undefined|false|Array)} children
 * @returns {any} the element; `any`, because its type follows from `tag`
 */
export function h(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length > 0) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(props)) set(element, key, value);
  element.append(...nodes(children));
  return element;
}

/** Puts `children` in the place of everything in `element`. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

/**
 * An icon of 20 × 20 from the data of a path. It is decoration: what it stands for is said in words beside it.
 *
 * @param {string} d
 */
export function icon(d) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  for (const [key, value] of [["viewBox", "0 0 20 20"], ["class", "icon"], ["aria-hidden", "true"]]) {
    svg.setAttribute(key, value);
  }
  path.setAttribute("d", d);
  svg.append(path);
  return svg;
}

function set(element, key, value) {
  if (value === undefined || value === null) return;
  if (key === "on") {
    for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
  } else if (key === "style") {
    for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
  } else if (key === "role" || key === "for" || key === "list" || key.includes("-")) {
    element.setAttribute(key, String(value));
  } else {
    element[key] = value;
  }
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
