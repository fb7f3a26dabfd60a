/** How a map is shown: its opacity, its colours, beside the picture or on it; and what its colours stand for. */

import { h } from "../../dom.js";
import { number, percent, t } from "../../language/index.js";
import { COLOUR_MAPS, table } from "../../drawing/colours.js";
import { ends } from "../../drawing/map.js";
import { choice, slider, tick } from "../../parts/controls.js";
import { change } from "../../state/address.js";

/** What the address says of the view. @param {Object<string, string>} params @returns {import("../../drawing/map.js").View} */
export function viewOf(params) {
  return {
    colours: COLOUR_MAPS.includes(params.colours) ? params.colours : null,
    alpha: params.alpha === undefined ? null : Number(params.alpha),
    gray: params.gray === undefined ? null : params.gray === "1",
  };
}

/**
 * @param {Object<string, string>} params
 * @param {{alpha: number, gray: boolean}} now what is shown, where the address does not say
 * @param {(view: import("../../drawing/map.js").View) => void} moved
 * @returns {HTMLElement[]} opacity, colours, and whether the picture is gray
 */
export function viewControls(params, now, moved) {
  const view = viewOf(params);
  const alpha = slider(t("heat.opacity"), { min: 0, max: 1, step: 0.05, value: now.alpha, write: (v) => percent(v, 0) }, (value) => {
    view.alpha = value;
    change({ alpha: value }, { quietly: true });
    moved(view);
  });
  const gray = tick(t("heat.gray"), now.gray, (checked) => {
    view.gray = checked;
    change({ gray: checked ? 1 : 0 }, { quietly: true });
    moved(view);
  });
  const names = [["", t("heat.auto")], ...COLOUR_MAPS.map((name) => [name, t(`colours.${name}`)])];
  const colours = choice(t("heat.colours"), names, view.colours ?? "", (value) => {
    view.colours = value || null;
    change({ colours: value || null }, { quietly: true });
    moved(view);
  });
  return [alpha, colours, gray];
}

/** The colours with the values at their ends. @param {import("../../drawing/map.js").FlatMap} map */
export function scaleOf(map, colours) {
  const of = table(colours ?? (map.signed ? "red_blue" : "turbo"));
  const canvas = h("canvas.scale-bar", { "aria-hidden": "true" });
  [canvas.width, canvas.height] = [256, 1];
  const context = canvas.getContext("2d");
  const image = context.createImageData(256, 1);
  for (let value = 0; value < 256; value += 1) image.data.set([of[3 * value], of[3 * value + 1], of[3 * value + 2], 255], 4 * value);
  context.putImageData(image, 0, 0);
  const [low, high] = ends(map);
  const words = map.signed ? [t("heat.against"), t("heat.for")] : [t("heat.low"), t("heat.high")];
  return h("div.scale-line", {}, h("span", {}, `${words[0]} ${number(low)}`), canvas, h("span", {}, `${number(high)} ${words[1]}`));
}
