/** A caption, whose words light up where the decoder looked for each. */

import { fill, h } from "../../dom.js";
import { number, percent, t } from "../../language/index.js";
import { flat, valueAt } from "../../drawing/map.js";
import { paintHeat } from "../../drawing/paint.js";
import { slider } from "../../parts/controls.js";
import { placementOf } from "../../server/placement.js";
import { change } from "../../state/address.js";
import { predictCall } from "./call.js";

export const captioning = {
  call: (context) => predictCall(context, ["beams", "max_length", "length_penalty"], { attention: true }),

  show({ prediction, panel, params, model, picture, stage }) {
    const [caption] = prediction.captions;
    const placement = placementOf(model, picture.width, picture.height);
    const words = spoken(caption);
    const light = lamp(stage, placement);
    const buttons = words.map((token) => word(token, () => buttons, light));
    fill(panel,
      h("h2", {}, t("caption.title")),
      h("p.caption", {}, buttons.flatMap((button) => [button, " "])),
      h("p.note", {}, words.some((token) => token.attention) ? t("caption.how") : t("caption.noAttention")),
      h("p.note", {}, t("caption.probability", { value: percent(Math.exp(caption.log_prob)) })),
      slider(t("caption.beams"), { min: 1, max: 8, step: 1, value: Number(params.beams ?? 1) }, () => {}, (value) => change({ beams: value === 1 ? null : value })));
    return {
      lines: [caption.text, ...words.map((token) => t("caption.word", { word: token.text, part: percent(Math.exp(token.log_prob)) }))],
    };
  },
};

/** The tokens that are words: the end is none. */
export function spoken(caption) {
  return caption.complete ? caption.tokens.slice(0, -1) : caption.tokens;
}

function lamp(stage, placement) {
  let lit = 0;
  return async (token) => {
    lit += 1;
    const mine = lit;
    stage.valueAt = null;
    if (!token?.attention || placement === null) {
      stage.tint = null;
      return;
    }
    const map = flat(token.attention, false);
    const image = await paintHeat(map, placement, { colours: null, alpha: 0.55 });
    if (mine !== lit) return;
    stage.tint = image;
    stage.valueAt = (x, y) => {
      const value = valueAt(map, placement, x, y);
      return value === null ? "" : `${token.text}: ${number(value)}`;
    };
  };
}

/** @param {() => HTMLElement[]} all the words, of which one is held at most */
function word(token, all, light) {
  let held = false;
  const button = h("button.word", { type: "button", "aria-pressed": "false" }, token.text);
  const press = () => {
    held = !held;
    for (const one of all()) one.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-pressed", String(held));
    light(held ? token : null);
  };
  button.style.setProperty("--sure", String(Math.exp(token.log_prob)));
  button.addEventListener("click", press);
  button.addEventListener("pointerenter", () => light(token));
  button.addEventListener("focus", () => light(token));
  const leave = () => {
    if (button.getAttribute("aria-pressed") !== "true") held = false;
    if (!held) light(null);
  };
  button.addEventListener("pointerleave", leave);
  button.addEventListener("blur", leave);
  return button;
}
