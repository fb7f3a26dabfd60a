/** Heat: a saliency map in colours over the size of a picture. Runs in the worker. */

import { table } from "./colours.js";
import { ends, taps } from "./map.js";

/**
 * @param {object} order
 * @param {import("./map.js").FlatMap} order.map
 * @param {import("../server/placement.js").Placement} order.placement
 * @param {number} order.width of what is drawn
 * @param {number} order.height
 * @param {string|null} order.colours the name of a colour map; null: that of the map's kind
 * @param {number} order.alpha how much of it is heat
 * @returns {ImageData} transparent where the model did not see
 */
export function heat({ map, placement, width, height, colours, alpha }) {
  const [low, high] = ends(map);
  const scale = 255 / (high - low);
  const opacity = opacities(map.signed && colours === null, alpha);
  const of = table(colours ?? (map.signed ? "red_blue" : "turbo"));
  const image = new ImageData(width, height);
  const columns = taps(placement.x, map.columns, width);
  const rows = taps(placement.y, map.rows, height);
  const line = new Float32Array(map.columns);
  for (let y = 0; y < height; y += 1) {
    if (rows.near[y] < 0) continue;
    between(map, rows.near[y], rows.far[y], rows.weight[y], line);
    paint(image.data.subarray(4 * y * width), columns, line, (value) => (value - low) * scale, of, opacity);
  }
  return image;
}

/** White at zero would wash the picture out: where a signed map says little, the picture shows. */
function opacities(fades, alpha) {
  return Uint8Array.from({ length: 256 }, (_, value) => {
    const part = fades ? Math.min(1, 2 * alpha * Math.abs((2 * value) / 255 - 1)) : alpha;
    return Math.round(255 * part);
  });
}

function between(map, near, far, weight, line) {
  const [from, to] = [near * map.columns, far * map.columns];
  for (let column = 0; column < map.columns; column += 1) {
    const value = map.values[from + column];
    line[column] = value + (map.values[to + column] - value) * weight;
  }
}

function paint(row, columns, line, shade, of, opacity) {
  for (let x = 0; x < columns.near.length; x += 1) {
    if (columns.near[x] < 0) continue;
    const near = line[columns.near[x]];
    const value = shade(near + (line[columns.far[x]] - near) * columns.weight[x]);
    if (Number.isNaN(value) && Number.isNaN(near)) continue;
    const index = Number.isFinite(value) ? Math.min(255, Math.max(0, Math.round(value))) : 0;
    row[4 * x] = of[3 * index];
    row[4 * x + 1] = of[3 * index + 1];
    row[4 * x + 2] = of[3 * index + 2];
    row[4 * x + 3] = opacity[index];
  }
}
