/**
 * Where a model's input lies on the picture: `input = original * scale + offset` on each axis, as
 * `src/image/placement.rs` has it. Maps are of the input; with this they are laid on the picture.
 */

import { askForNpy } from "./calls.js";

/**
 * @typedef {{scale: number, offset: number, input: number, original: number}} Axis
 * @typedef {{x: Axis, y: Axis}} Placement
 */

/** A picture that is its own input. @returns {Placement} */
export const whole = (width, height) => ({ x: axis(width, width, width, 0), y: axis(height, height, height, 0) });

/**
 * Where `model` sees a picture of this size. Null where the answer depends on a size that the server does not tell.
 *
 * @param {import("./models.js").Model} model
 * @returns {Placement|null}
 */
export function placementOf(model, width, height) {
  const [inputHeight, inputWidth] = model.input.size;
  if (model.input.resize === "letterbox") {
    const ratio = Math.min(inputWidth / width, inputHeight / height);
    const [x, y] = [roundEven(width * ratio), roundEven(height * ratio)];
    const border = (kept, length) => -Math.floor((kept - length) / 2);
    return {
      x: axis(width, inputWidth, x, border(inputWidth, x)),
      y: axis(height, inputHeight, y, border(inputHeight, y)),
    };
  }
  if (model.input.resize === "shorter_side") {
    const shorter = model.input.resize_to ?? learned.get(model.name);
    return shorter === undefined ? null : cropped(shorter, width, height, inputWidth, inputHeight);
  }
  return { x: axis(width, inputWidth, inputWidth, 0), y: axis(height, inputHeight, inputHeight, 0) };
}

/** To what the shorter side is resized, by model, where it had to be found out. @type {Map<string, number>} */
const learned = new Map();

/**
 * Finds out `resize_to` of a model that crops: its picture, stretched to a square, is explained at its own size, and
 * what the model did not see is NaN there. Costs one small explanation a model, and leaves things as they are where
 * that is refused.
 *
 * @param {import("./models.js").Model} model
 * @param {import("./calls.js").Call} call an explanation of this model
 */
export async function learnPlacement(model, call, signal) {
  const side = 512;
  const pictures = await Promise.all(
    call.pictures.map(async ({ field, picture }) => ({ field, picture: { ...picture, blob: await square(picture, side) } })),
  );
  const query = { method: "saliency", resolution: "original" };
  const bytes = await askForNpy({ ...call, query, pictures }, signal);
  const values = new Float32Array(bytes.slice(bytes.byteLength - 4 * side * side));
  const row = values.subarray((side / 2) * side, (side / 2 + 1) * side);
  const seen = row.reduce((count, value) => count + (Number.isNaN(value) ? 0 : 1), 0);
  const kept = model.input.size[1];
  // What is kept of the side is `kept / resize_to`. Nothing cropped: the sides are equal.
  learned.set(model.name, seen === side ? kept : nearest((kept * side) / seen));
}

/** Trainings resize to multiples of 8, and a square of 512 pixels tells those apart. */
function nearest(shorter) {
  const round = Math.round(shorter / 8) * 8;
  return Math.abs(round - shorter) < 2 ? round : Math.round(shorter);
}

async function square(picture, side) {
  const canvas = new OffscreenCanvas(side, side);
  canvas.getContext("2d").drawImage(picture.bitmap, 0, 0, side, side);
  return canvas.convertToBlob({ type: "image/png" });
}

function cropped(shorter, width, height, inputWidth, inputHeight) {
  const long = (side, other) => Math.floor((shorter * side) / other);
  const [x, y] = width <= height ? [shorter, long(height, width)] : [long(width, height), shorter];
  return {
    x: axis(width, inputWidth, x, centreCrop(x, inputWidth)),
    y: axis(height, inputHeight, y, centreCrop(y, inputHeight)),
  };
}

/** Where torchvision's `center_crop` begins. */
function centreCrop(length, kept) {
  return length < kept ? -Math.floor((kept - length) / 2) : roundEven((length - kept) / 2);
}

function roundEven(value) {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low % 2) : Math.round(value);
}

const axis = (original, input, resized, corner) => ({ original, input, scale: resized / original, offset: -corner });
