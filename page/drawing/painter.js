/** The worker that paints: a photo of a phone has millions of pixels, and the page must not wait for them. */

import { heat } from "./heat.js";
import { masks } from "./masks.js";

addEventListener("message", async ({ data: { id, kind, order } }) => {
  try {
    if (kind === "heat") {
      const image = await createImageBitmap(heat(order));
      postMessage({ id, image }, { transfer: [image] });
    } else {
      const { image, ids } = masks(order);
      const bitmap = await createImageBitmap(image);
      postMessage({ id, image: bitmap, ids }, { transfer: [bitmap, ids.buffer] });
    }
  } catch (error) {
    postMessage({ id, error: String(error) });
  }
});
