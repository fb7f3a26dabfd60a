/** Pictures that come within JSON. */

import { h } from "../../dom.js";

/** @param {string} base64 of a PNG @returns {Promise<{bitmap: ImageBitmap, blob: Blob, width: number, height: number}>} */
export async function decoded(base64) {
  const bytes = Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
  const blob = new Blob([bytes], { type: "image/png" });
  const bitmap = await createImageBitmap(blob);
  return { bitmap, blob, width: bitmap.width, height: bitmap.height };
}

/** A picture of the answer as an element. `label` says what it is. */
export const frame = (base64, label) => h("img.frame-image", { src: `data:image/png;base64,${base64}`, alt: label, decoding: "async" });
