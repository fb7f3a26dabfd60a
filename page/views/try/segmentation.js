/** Classes of pixels: masks over the picture, and a legend that hides and shows them. */

import { fill, h } from "../../dom.js";
import { percent, t } from "../../language/index.js";
import { classColour, css, objectColour } from "../../drawing/colours.js";
import { paintMasks } from "../../drawing/paint.js";
import { slider, tick } from "../../parts/controls.js";
import { whyLink } from "../../parts/why-link.js";
import { change } from "../../state/address.js";
import { predictCall } from "./call.js";

export const segmentation = {
  call: (context) => predictCall(context, []),

  async show({ prediction, panel, params, model, picture, stage }) {
    const { classes, mask } = prediction;
    const blended = overlaps(classes, picture);
    const hidden = new Set((params.hidden ?? "").split(",").filter(Boolean).map(Number));
    let painting = 0;
    let ids = new Uint8Array(0);
    const paint = async () => {
      painting += 1;
      const mine = painting;
      const painted = await paintMasks(orders(mask.rle, blended, hidden), picture.width, picture.height, blended);
      if (mine !== painting) return;
      stage.tint = painted.image;
      ids = painted.ids;
    };
    await paint();
    stage.tintOpacity = Number(params.opacity ?? 0.5);
    stage.valueAt = (x, y) => labelAt(ids, mask.rle, classes, x, y, picture.width);
    const toggle = (id, shown) => {
      if (shown) hidden.delete(id);
      else hidden.add(id);
      change({ hidden: [...hidden].join(",") || null }, { quietly: true });
      paint();
    };
    fill(panel,
      h("h2", {}, t("segmentation.title")),
      h("ul.legend", {}, classes.map((one) => legend(one, blended, hidden, toggle, whyLink({ model, picture }, one.class_id, one.label)))),
      opacity(params, stage));
    return { lines: classes.map((one) => t("segmentation.line", { label: one.label, part: percent(one.fraction) })) };
  },
};

/** Whether a pixel can be of several classes: then areas add up to more than the picture, or the background is none. */
export const overlaps = (classes, { width, height }) => classes.reduce((sum, one) => sum + one.pixels, 0) > width * height;

/** The masks in the colours that the server's pictures have. Class 0 is the background, unless masks overlap. */
function orders(rle, blended, hidden) {
  return rle.map((one) => ({
    counts: one.counts,
    colour: blended ? objectColour(one.class_id) : classColour(one.class_id),
    opacity: hidden.has(one.class_id) || (!blended && one.class_id === 0) ? 0 : 1,
  }));
}

function labelAt(ids, rle, classes, x, y, width) {
  const index = ids[y * width + x] ?? 0;
  if (index === 0) return "";
  return classes.find((one) => one.class_id === rle[index - 1].class_id)?.label ?? "";
}

function legend({ class_id: id, label, fraction }, blended, hidden, toggle, why) {
  const isBackground = !blended && id === 0;
  const colour = blended ? objectColour(id) : classColour(id);
  const swatch = h(isBackground ? "span.swatch.none" : "span.swatch", { "aria-hidden": "true", style: { "background-color": css(colour) } });
  const name = isBackground ? h("span.tick", {}, label) : tick(label, !hidden.has(id), (shown) => toggle(id, shown));
  return h("li", {}, swatch, name, h("span.score", {}, percent(fraction)),
    isBackground ? h("span") : why);
}

function opacity(params, stage) {
  const move = (value) => {
    stage.tintOpacity = value;
    change({ opacity: value === 0.5 ? null : value }, { quietly: true });
  };
  return slider(t("segmentation.opacity"), { min: 0, max: 1, step: 0.05, value: Number(params.opacity ?? 0.5), write: (v) => percent(v, 0) }, move);
}
