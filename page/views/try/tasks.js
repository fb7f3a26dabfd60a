/**
 * What each task asks for and how its answer is shown. A task has
 *
 * - `call(context)`: what is asked;
 * - `show(context)`: draws the answer, and says it in `lines`; `tint`, where there is one, makes it at the picture's
 *   own size;
 * - `other`: present where a second picture has a use;
 * - `more(context)`: further calls that the view makes, to be written down with the first.
 */

import { captioning } from "./captioning.js";
import { classification } from "./classification.js";
import { detection } from "./detection.js";
import { embedding } from "./embedding.js";
import { imageToImage } from "./image-to-image.js";
import { regression } from "./regression.js";
import { segmentation } from "./segmentation.js";
import { tensor } from "./tensor.js";
import { vae } from "./vae.js";

export const TASKS = {
  captioning,
  classification,
  detection,
  embedding,
  image_to_image: imageToImage,
  regression,
  segmentation,
  tensor,
  vae,
};
