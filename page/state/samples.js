/** The pictures that come with the page, and which tasks each is good for. samples/README.md says whose they are. */

/**
 * @typedef {object} Sample
 * @property {string} id as in the address
 * @property {string} file
 * @property {string} url
 * @property {string[]} tasks
 * @property {number} side the longer one, in pixels
 */

const at = (file) => new URL(`../samples/${file}`, import.meta.url).pathname;

const listed = [
  ["cat", "cat.webp", 360, ["classification", "embedding", "image_to_image", "detection"]],
  ["coffee", "coffee.webp", 300, ["classification", "detection", "embedding", "image_to_image"]],
  ["astronaut", "astronaut.webp", 288, ["detection", "segmentation", "classification", "image_to_image", "embedding"]],
  ["clothes", "clothes.webp", 96, ["segmentation"]],
  ["scene", "scene.webp", 128, ["captioning"]],
  ["gauge", "gauge.webp", 96, ["regression"]],
  ["bag", "bag.png", 28, ["vae"]],
  ["boot", "boot.png", 28, ["vae"]],
];

/** @type {Sample[]} */
export const SAMPLES = listed.map(([id, file, side, tasks]) => ({ id, file, url: at(file), side, tasks }));

/**
 * The samples that are good for a model, the best first: of one task, those of the size that the model sees.
 *
 * @param {import("../server/models.js").Model|null} model
 */
export function samplesFor(model) {
  if (model?.input === undefined) return SAMPLES;
  const fits = SAMPLES.filter((sample) => sample.tasks.includes(model.task));
  const exact = fits.filter((sample) => sample.side === model.input.size[0]);
  return [...exact, ...fits.filter((sample) => !exact.includes(sample))];
}

/**
 * The picture that stays when another model is chosen: a sample that is no good for it gives way to one that is.
 *
 * @param {string|undefined} id
 * @param {import("../server/models.js").Model|null} model
 */
export function suited(id, model) {
  const sample = SAMPLES.find((one) => one.id === id);
  if (sample === undefined || model?.task === undefined || sample.tasks.includes(model.task)) return id;
  return samplesFor(model)[0]?.id ?? id;
}

/** @param {string|undefined} id whether it is a sample's */
export const isSample = (id) => SAMPLES.some((sample) => sample.id === id);
