/** What a variational autoencoder makes of a picture, and what its latent space holds. */

import { fill, h } from "../../dom.js";
import { number, t } from "../../language/index.js";
import { predictCall } from "./call.js";
import { frame } from "./frames.js";
import { interpolation, interpolationCall } from "./vae-interpolation.js";
import { latents } from "./vae-latents.js";
import { samples, samplesCall } from "./vae-samples.js";

export const vae = {
  other: "interpolate",

  call: (context) => predictCall(context, []),

  more: (context) => [...(context.other === null ? [] : [interpolationCall(context)]), samplesCall(context)],

  async show(context) {
    const { prediction, panel } = context;
    const { latent, reconstruction, error } = prediction;
    const sections = [1, 2, 3].map(() => h("section.vae-part"));
    const psnr = error.psnr_db === undefined || error.psnr_db === null ? "∞" : number(error.psnr_db);
    const said = t("vae.error", { mse: number(error.mse), psnr, kl: number(error.kl) });
    fill(panel,
      h("h2", {}, t("vae.title")),
      h("div.reconstruction", {}, frame(reconstruction.png_b64, t("vae.reconstruction")), h("p.note", {}, said)),
      sections);
    latents(sections[0], context, latent);
    await Promise.all([interpolation(sections[1], context), samples(sections[2], context)]);
    return { lines: [said] };
  },
};
