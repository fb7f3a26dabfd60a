/** Pictures of random latents. */

import { fill, h } from "../../dom.js";
import { t } from "../../language/index.js";
import { field, slider } from "../../parts/controls.js";
import { ask } from "../../server/calls.js";
import { change } from "../../state/address.js";
import { frame } from "./frames.js";

/**
 * @param {HTMLElement} place
 * @param {{model: any, params: Object<string, string>, signal: AbortSignal}} context
 */
export async function samples(place, { model, params, signal }) {
  const call = samplesCall({ model, params });
  const { query } = call;
  const answer = await ask(call, signal);
  fill(place,
    h("h3", {}, t("vae.samples")),
    h("div.contact-sheet", {}, answer.images.map((one, index) => frame(one.png_b64, t("vae.sample", { index: index + 1 })))),
    h("div.row", {},
      slider(t("vae.temperature"), { min: 0, max: 2, step: 0.1, value: query.temperature }, () => {}, (value) => change({ temperature: value === 1 ? null : value })),
      field(t("vae.seed"), { value: String(query.seed), type: "number", step: "1" }, (value) => change({ seed: value === "0" ? null : value }))));
}

/** @returns {import("../../server/calls.js").Call} */
export function samplesCall({ model, params }) {
  const query = { n: Number(params.n ?? 16), seed: Number(params.seed ?? 0), temperature: Number(params.temperature ?? 1) };
  return { model: model.name, operation: "sample", query };
}
