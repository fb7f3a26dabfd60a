/**
 * Saliency maps as numbers: how they are spread over the colours, and what they say at a point. The rules are those of
 * `src/explain/render.rs`, so that page and server show the same.
 */

/**
 * @typedef {object} FlatMap
 * @property {number} rows
 * @property {number} columns
 * @property {Float32Array} values row by row; NaN where the server said null
 * @property {number} min
 * @property {number} max
 * @property {boolean} signed whether zero is the middle
 */

/** Attributions to single pixels have a few extreme values that would leave the rest without colour. */
const SHOWN = 0.99;

/**
 * The map of an explanation, its channels summed.
 *
 * @param {{shape: number[], data: (number|null)[]}} map
 * @param {boolean} signed whether the method's values speak for and against
 * @returns {FlatMap}
 */
export function flat(map, signed) {
  const [rows, columns] = map.shape.slice(-2);
  const values = new Float32Array(rows * columns);
  map.data.forEach((value, index) => {
    values[index % values.length] += value ?? NaN;
  });
  let [min, max] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (min > max) [min, max] = [0, 0];
  return { rows, columns, values, min, max, signed: signed && min < 0 };
}

/** The values that the first and the last colour stand for. @param {FlatMap} map @returns {[number, number]} */
export function ends(map) {
  if (map.signed) {
    const reach = magnitude(map.values);
    return [-reach, reach];
  }
  // Only where there are many values is a hundredth of them one that can be spared.
  return [map.min, map.values.length > 10_000 ? magnitude(map.values) : map.max];
}

/**
 * @typedef {object} View how a map is shown; null: as it is best for its kind
 * @property {string|null} colours the name of a colour map
 * @property {number|null} alpha how much of it is heat
 * @property {boolean|null} gray whether the picture under it loses its colours
 */

/**
 * The view of a map. Signed maps are of single pixels and fade where they say little: half of their colour, on colours,
 * would not be seen.
 *
 * @param {View} view
 * @param {FlatMap} map
 */
export function resolved({ colours, alpha, gray }, map) {
  return { colours, alpha: alpha ?? (map.signed ? 0.9 : 0.5), gray: gray ?? map.signed };
}

/** What 99 % of the values do not exceed, signs apart. */
function magnitude(values) {
  const sizes = values.filter(Number.isFinite).map(Math.abs).sort();
  return sizes.length === 0 ? 0 : sizes[Math.round((sizes.length - 1) * SHOWN)];
}

/**
 * For each pixel of a side of `length`, between which two of `cells` cells it lies: `[near, far, weight]` each, −1
 * where the model did not see it.
 *
 * @param {import("../server/placement.js").Axis} axis
 * @param {number} cells
 * @param {number} length pixels that are drawn; the picture may have more
 */
export function taps(axis, cells, length) {
  const [near, far, weight] = [new Int32Array(length), new Int32Array(length), new Float32Array(length)];
  for (let pixel = 0; pixel < length; pixel += 1) {
    const at = ((pixel + 0.5) * axis.original * axis.scale) / length + axis.offset;
    const inside = at >= 0 && at < axis.input;
    const cell = Math.min(cells - 1, Math.max(0, (at * cells) / axis.input - 0.5));
    near[pixel] = inside ? Math.floor(cell) : -1;
    far[pixel] = Math.min(cells - 1, Math.floor(cell) + 1);
    weight[pixel] = cell - Math.floor(cell);
  }
  return { near, far, weight };
}

/**
 * The map's value at a point of the picture; null where the model did not see it.
 *
 * @param {FlatMap} map
 * @param {import("../server/placement.js").Placement} placement
 */
export function valueAt(map, placement, x, y) {
  const column = Math.floor(((x * placement.x.scale + placement.x.offset) * map.columns) / placement.x.input);
  const row = Math.floor(((y * placement.y.scale + placement.y.offset) * map.rows) / placement.y.input);
  if (column < 0 || row < 0 || column >= map.columns || row >= map.rows) return null;
  const value = map.values[row * map.columns + column];
  return Number.isNaN(value) ? null : value;
}
