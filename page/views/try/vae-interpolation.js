/** The way from one picture to another through the latent space. */

import { fill, h } from "../../dom.js";
import { t } from "../../language/index.js";
import { choice, slider } from "../../parts/controls.js";
import { ask } from "../../server/calls.js";
import { change } from "../../state/address.js";
import { frame } from "./frames.js";

/**
 * @param {HTMLElement} place
 * @param {{model: any, picture: any, other: any, params: Object<string, string>, signal: AbortSignal}} context
 */
export async function interpolation(place, { model, picture, other, params, signal }) {
  if (other === null) {
    fill(place, h("h3", {}, t("vae.way")), h("p.note", {}, t("vae.choose")));
    return;
  }
  const call = interpolationCall({ model, picture, other, params });
  const { query } = call;
  const answer = await ask(call, signal);
  fill(place,
    h("h3", {}, t("vae.way")),
    h("div.film", {}, answer.images.map((one, index) => frame(one.png_b64, t("vae.step", { index: index + 1 })))),
    h("div.row", {},
      slider(t("vae.steps"), { min: 2, max: 16, step: 1, value: query.steps }, () => {}, (value) => change({ steps: value === 8 ? null : value })),
      choice(t("vae.path"), [["linear", t("vae.linear")], ["spherical", t("vae.spherical")]], query.path, (value) => change({ path: value }))));
}

/** @returns {import("../../server/calls.js").Call} */
export function interpolationCall({ model, picture, other, params }) {
  const query = { steps: Number(params.steps ?? 8), path: params.path ?? "linear" };
  return { model: model.name, operation: "interpolate", query, pictures: [{ field: "from", picture }, { field: "to", picture: other }] };
}
