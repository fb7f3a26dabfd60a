/** Labels, the best first. */

import { fill, h } from "../../dom.js";
import { percent, t } from "../../language/index.js";
import { bar, slider } from "../../parts/controls.js";
import { whyLink } from "../../parts/why-link.js";
import { change } from "../../state/address.js";
import { predictCall } from "./call.js";

const MOST = 20;

export const classification = {
  call: (context) => predictCall(context, ["top_k"]),

  show({ prediction, panel, params, model, picture }) {
    const rows = prediction.classes.map((one) => row(one, whyLink({ model, picture }, one.class_id, one.label)));
    const many = slider(t("class.many"), { min: 1, max: Math.min(MOST, model.labels.length || MOST), step: 1, value: Number(params.top_k ?? 5) }, () => {},
      (value) => change({ top_k: value === 5 ? null : value }));
    fill(panel, h("h2", {}, t("class.title")), h("ol.ranked", {}, rows), many);
    return { lines: prediction.classes.map(({ label, score }) => `${label}: ${percent(score)}`) };
  },
};

function row({ label, score }, why) {
  return h("li", {},
    h("span.name", {}, label), h("span.score", {}, percent(score)), why,
    bar(score));
}
