/** What stands where a picture will be: an invitation, and the samples to begin with. */

import { h } from "../dom.js";
import { t, tOr } from "../language/index.js";
import { samplesFor } from "../state/samples.js";

/**
 * @param {string} lead
 * @param {import("../server/models.js").Model|null} model whose samples are offered; null: those of all
 * @param {(id: string) => void} choose
 */
export function emptyPlace(lead, model, choose) {
  const cards = samplesFor(model).map(({ id, url, tasks }) =>
    h("li", {}, h("button.card", { type: "button", on: { click: () => choose(id) } },
      h("img", { src: url, alt: "", decoding: "async" }),
      h("span", {}, t(`sample.${id}`)), h("span.note", {}, tOr(`task.${model?.task ?? tasks[0]}`, tasks[0])))));
  return h("div.empty", {},
    h("p.lead", {}, lead), h("p.note", {}, t("try.emptyHow")), h("ul.cards", { "aria-label": t("picture.samples") }, cards));
}
