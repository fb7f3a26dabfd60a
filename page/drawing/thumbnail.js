/** Small pictures with heat, for strips and grids. */

import { h } from "../dom.js";
import { flat, resolved } from "./map.js";
import { paintHeat } from "./paint.js";

const SIDE = 360;

/**
 * A canvas of a picture under a map.
 *
 * @param {import("../state/desk.js").Picture} picture
 * @param {any} explanation of the answer
 * @param {{signed: boolean, placement: any, label: string, view: import("./map.js").View}} how
 */
export async function heatThumbnail(picture, explanation, { signed, placement, label, view }) {
  const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
  const canvas = h("canvas.thumb", { role: "img", "aria-label": label });
  [canvas.width, canvas.height] = [Math.max(1, Math.round(picture.width * scale)), Math.max(1, Math.round(picture.height * scale))];
  canvas.classList.toggle("squares", Math.max(picture.width, picture.height) <= 64);
  const context = canvas.getContext("2d");
  const map = flat(explanation.map, signed);
  const { colours, alpha, gray } = resolved(view, map);
  context.filter = gray ? "grayscale(1)" : "none";
  context.drawImage(picture.bitmap, 0, 0, canvas.width, canvas.height);
  context.filter = "none";
  const image = await paintHeat(map, placement, { colours, alpha });
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}
