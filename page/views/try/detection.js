/** Boxes with their labels, and what else a detector says: masks, keypoints, angles. */

import { fill, h } from "../../dom.js";
import { number, percent, t } from "../../language/index.js";
import { css, objectColour } from "../../drawing/colours.js";
import { drawObjects } from "../../drawing/marks.js";
import { paintMasks } from "../../drawing/paint.js";
import { slider } from "../../parts/controls.js";
import { whyLink } from "../../parts/why-link.js";
import { change } from "../../state/address.js";
import { predictCall } from "./call.js";

export const detection = {
  call: (context) => predictCall(context, ["score_threshold", "iou_threshold", "max_detections"]),

  async show({ prediction, panel, params, model, picture, stage }) {
    const { objects } = prediction;
    const mark = (chosen) => {
      stage.marks = (context, scale) => drawObjects(context, objects, { scale, chosen });
    };
    mark(null);
    await tintOf(objects, picture, stage);
    stage.valueAt = (x, y) => objects.filter(({ box }) => within(box, x, y)).map(({ label }) => label).join(", ");
    const rows = objects.map((object, index) => row(object, index, mark, whyLink({ model, picture }, index, object.label)));
    fill(panel,
      h("h2", {}, t("detection.title", { count: objects.length })),
      objects.length === 0 ? h("p.note", {}, t("detection.none")) : h("ul.objects", {}, rows),
      threshold(params));
    return { lines: objects.map(line) };
  },
};

/** @param {{x_min: number, y_min: number, x_max: number, y_max: number}} box */
export const within = (box, x, y) => x >= box.x_min && x <= box.x_max && y >= box.y_min && y <= box.y_max;

async function tintOf(objects, picture, stage) {
  const masks = objects.filter(({ mask }) => mask).reverse();
  if (masks.length === 0) return;
  const orders = masks.map((one) => ({ counts: one.mask.counts, colour: objectColour(one.class_id), opacity: 0.5 }));
  stage.tint = (await paintMasks(orders, picture.width, picture.height, false)).image;
}

function row(object, index, mark, why) {
  const swatch = h("span.swatch", { "aria-hidden": "true", style: { "background-color": css(objectColour(object.class_id)) } });
  const [show, rest] = [() => mark(index), () => mark(null)];
  return h("li", { on: { pointerenter: show, pointerleave: rest, focusin: show, focusout: rest } },
    swatch, h("span.name", {}, object.label), h("span.score", {}, percent(object.score)), why, extras(object));
}

function extras(object) {
  const said = [];
  if (object.keypoints?.length > 0) said.push(t("detection.keypoints", { count: object.keypoints.length }));
  if (object.oriented_box) said.push(t("detection.angle", { degrees: number((object.oriented_box.angle * 180) / Math.PI, 3) }));
  if (object.mask) said.push(t("detection.mask", { pixels: number(object.mask.pixels, 6) }));
  return said.length === 0 ? null : h("span.note", {}, said.join(" · "));
}

function line({ label, score, box }) {
  const [x, y, right, lower] = [box.x_min, box.y_min, box.x_max, box.y_max].map(Math.round);
  return t("detection.line", { label, score: percent(score), x, y, width: right - x, height: lower - y });
}

function threshold(params) {
  const settle = (value) => change({ score_threshold: value });
  return slider(t("detection.threshold"), { min: 0.05, max: 0.95, step: 0.05, value: Number(params.score_threshold ?? 0.25), write: (v) => percent(v, 0) }, () => {}, settle);
}
