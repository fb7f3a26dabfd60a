/** Sliders over the latent means; what they decode to is drawn as they move. */

import { fill, h } from "../../dom.js";
import { number, t } from "../../language/index.js";
import { slider } from "../../parts/controls.js";
import { ask } from "../../server/calls.js";
import { isAborted } from "../../server/problem.js";
import { frame } from "./frames.js";

const SHOWN = 8;
const REACH = 4;

/**
 * @param {HTMLElement} place
 * @param {{model: any, signal: AbortSignal}} context
 * @param {{mu: number[], logvar: number[]}} latent
 */
export function latents(place, { model, signal }, { mu, logvar }) {
  const values = [...mu];
  const picture = h("div.decoded");
  const draw = latest(async () => {
    const answer = await ask({ model: model.name, operation: "decode", query: {}, json: { latents: [values] } }, signal);
    fill(picture, frame(answer.images[0].png_b64, t("vae.decoded")));
  });
  const one = (index) => slider(t("vae.latent", { index }), { min: -REACH, max: REACH, step: 0.05, value: clamp(values[index]), write: (v) => number(v, 2) }, (value) => {
    values[index] = value;
    draw();
  });
  const order = informative(mu, logvar);
  const build = (count) => {
    const all = count > SHOWN;
    fill(place,
      h("h3", {}, t("vae.latents")), h("p.note", {}, t("vae.latentsHow", { count: SHOWN })),
      h("div.latent-desk", {}, picture, h("div.sliders", {}, order.slice(0, count).map(one))),
      h("div.actions", {},
        h("button.quiet", { type: "button", on: { click: () => build(all ? SHOWN : mu.length) } }, all ? t("vae.fewer") : t("vae.all", { count: mu.length })),
        h("button.quiet", { type: "button", on: { click: reset } }, t("vae.reset"))));
  };
  function reset() {
    mu.forEach((value, index) => {
      values[index] = value;
    });
    build(SHOWN);
    draw();
  }
  build(SHOWN);
  draw();
}

const clamp = (value) => Math.max(-REACH, Math.min(REACH, value));

/** Latents by what they tell of this picture: their divergence from N(0, 1). */
function informative(mu, logvar) {
  const kl = mu.map((mean, index) => Math.exp(logvar[index]) + mean * mean - 1 - logvar[index]);
  return kl.map((_, index) => index).sort((a, b) => kl[b] - kl[a]);
}

/** Runs `work` again once it is done, if it was asked for meanwhile; whatever lay between is left out. */
function latest(work) {
  let [running, again] = [false, false];
  return async function run() {
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      try {
        await work();
      } catch (error) {
        if (isAborted(error)) break;
        again = false;
      }
    }
    running = false;
  };
}
