/**
 * The pictures at hand, by the name that stands for them in the address: `cat` is a sample, `own-1` a file of the
 * user's. Files cannot be in the address, so that those are lost when the page is loaded anew.
 */

import { Unreachable } from "../server/problem.js";
import { SAMPLES } from "./samples.js";

/**
 * @typedef {object} Picture
 * @property {string} id as in the address
 * @property {string} name the file's name, as it came
 * @property {Blob} blob the bytes that are sent, untouched
 * @property {ImageBitmap} bitmap the upright picture
 * @property {number} width
 * @property {number} height
 */

/** More are rarely compared, and each holds its pixels. */
const KEPT = 6;

/** @type {Map<string, Picture>} */
const pictures = new Map();
let count = 0;

/** A picture could not be read by this browser. */
export class UnreadablePicture extends Error {}

/**
 * Takes a file of the user's.
 *
 * @param {Blob & {name?: string}} file
 * @returns {Promise<Picture>}
 */
export async function take(file) {
  count += 1;
  return keep(`own-${count}`, file.name ?? "picture", file);
}

/**
 * The picture of this id, fetched if it is a sample. Null where there is none, or none any more.
 *
 * @param {string|undefined} id
 * @returns {Promise<Picture|null>}
 */
export async function find(id) {
  if (id === undefined) return null;
  const held = pictures.get(id);
  if (held !== undefined) return held;
  const sample = SAMPLES.find((one) => one.id === id);
  if (sample === undefined) return null;
  const answer = await fetch(sample.url).catch(() => {
    throw new Unreachable(sample.file);
  });
  return keep(id, sample.file, await answer.blob());
}

/** @param {string|undefined} id whether a file of the user's is meant that the page no longer has */
export function isLost(id) {
  return id !== undefined && id.startsWith("own-") && !pictures.has(id);
}

async function keep(id, name, blob) {
  const bitmap = await createImageBitmap(blob).catch(() => {
    throw new UnreadablePicture(name);
  });
  const picture = { id, name, blob, bitmap, width: bitmap.width, height: bitmap.height };
  pictures.set(id, picture);
  const own = [...pictures.keys()].filter((key) => key.startsWith("own-"));
  for (const old of own.slice(0, Math.max(0, own.length - KEPT))) pictures.delete(old);
  return picture;
}
