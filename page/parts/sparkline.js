/** A curve of the last readings. It is decoration: its last value stands beside it. */

const SVG = "http://www.w3.org/2000/svg";

/** @param {number[]} values */
export function sparkline(values) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of [["viewBox", "0 0 120 30"], ["preserveAspectRatio", "none"], ["class", "sparkline"], ["aria-hidden", "true"]]) {
    svg.setAttribute(name, value);
  }
  const most = Math.max(1, ...values);
  const points = values.map((value, index) => `${(120 * index) / Math.max(1, values.length - 1)},${28 - (26 * value) / most}`);
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", points.join(" "));
  svg.append(line);
  return svg;
}
