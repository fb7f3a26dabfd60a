/** From values and classes to colours, the same as the server's pictures have. */

/**
 * The colour of a class: Pascal VOC's, in which 0 is black and neighbours differ clearly.
 *
 * @param {number} id
 * @returns {[number, number, number]}
 */
export function classColour(id) {
  const colour = [0, 0, 0];
  for (let bit = 0; bit < 8; bit += 1) {
    for (let channel = 0; channel < 3; channel += 1) colour[channel] |= ((id >> (3 * bit + channel)) & 1) << (7 - bit);
  }
  return /** @type {[number, number, number]} */ (colour);
}

/** Of objects and of masks that overlap class 0 is a class as others are, and would be black. */
export const objectColour = (id) => classColour(id + 1);

/** @param {number[]} colour as CSS writes it */
export const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;

/** Black or white, whichever reads better on `colour`: as the server's labels. */
export const inkOn = ([r, g, b]) => (299 * r + 587 * g + 114 * b > 128_000 ? "#000" : "#fff");

/** The names of the colour maps, in the order in which they are offered. */
export const COLOUR_MAPS = ["turbo", "viridis", "jet", "gray", "red_blue"];

const byte = (value) => Math.min(255, Math.max(0, Math.round(value)));
const horner = (coefficients, t) => coefficients.reduceRight((sum, coefficient) => sum * t + coefficient, 0);

// Google's Turbo, by the polynomial of Anton Mikhailov that d3 has too.
const TURBO = [
  [34.61, 1172.33, -10793.56, 33300.12, -38394.49, 14825.05],
  [23.31, 557.33, 1225.33, -3574.96, 1073.77, 707.56],
  [27.2, 3211.1, -15327.97, 27814, -22569.18, 6838.66],
];

// matplotlib's Viridis, fitted within 3 of 255.
const VIRIDIS = [
  [0.2777273, 0.1050931, -0.3308618, -4.6342305, 6.2282699, 4.776385, -5.4354559],
  [0.0054073, 1.4046135, 0.2148476, -5.799101, 14.1799334, -13.7451454, 4.6458526],
  [0.3340998, 1.3845902, 0.0950952, -19.3324410, 56.6905526, -65.3530326, 26.3124352],
];

// ColorBrewer's RdBu from blue to red, joined by a uniform cubic B-spline as d3 does.
const RED_BLUE = [
  [5, 48, 97], [33, 102, 172], [67, 147, 195], [146, 197, 222], [209, 229, 240], [247, 247, 247],
  [253, 219, 199], [244, 165, 130], [214, 96, 77], [178, 24, 43], [103, 0, 31],
];

const MAPS = {
  turbo: (t) => TURBO.map((channel) => byte(horner(channel, t))),
  viridis: (t) => VIRIDIS.map((channel) => byte(255 * horner(channel, t))),
  jet: (t) => [3, 2, 1].map((peak) => byte(255 * Math.min(1, Math.max(0, 1.5 - Math.abs(4 * t - peak))))),
  gray: (t) => [byte(255 * t), byte(255 * t), byte(255 * t)],
  red_blue: (t) => [0, 1, 2].map((channel) => byte(spline(RED_BLUE.map((colour) => colour[channel]), t))),
};

/**
 * 256 colours of a map, `[r, g, b, r, …]`.
 *
 * @param {string} name
 */
export function table(name) {
  const colours = new Uint8Array(768);
  for (let value = 0; value < 256; value += 1) colours.set(MAPS[name](value / 255), 3 * value);
  return colours;
}

function spline(values, t) {
  const last = values.length - 1;
  const segment = Math.min(last - 1, Math.floor(t * last));
  const [v1, v2] = [values[segment], values[segment + 1]];
  const v0 = segment > 0 ? values[segment - 1] : 2 * v1 - v2;
  const v3 = segment < last - 1 ? values[segment + 2] : 2 * v2 - v1;
  const u = t * last - segment;
  const [u2, u3] = [u * u, u * u * u];
  return ((1 - 3 * u + 3 * u2 - u3) * v0 + (4 - 6 * u2 + 3 * u3) * v1 + (1 + 3 * u + 3 * u2 - 3 * u3) * v2 + u3 * v3) / 6;
}
