/** A picture made of a picture: both on one stage, with an edge between them to move. */

import { fill, h } from "../../dom.js";
import { number, percent, t } from "../../language/index.js";
import { slider } from "../../parts/controls.js";
import { change } from "../../state/address.js";
import { decoded } from "./frames.js";
import { predictCall } from "./call.js";

export const imageToImage = {
  call: (context) => predictCall(context, [], { resolution: context.params.size === "native" ? "native" : "original" }),

  async show({ prediction, panel, params, picture, stage }) {
    const { output } = prediction;
    const made = await decoded(output.png_b64);
    const image = made.bitmap;
    const isOriginal = output.width === picture.width && output.height === picture.height;
    stage.picture = isOriginal ? picture : made;
    const wipe = (part) => {
      stage.tint = isOriginal ? rightOf(image, part) : null;
    };
    wipe(Number(params.wipe ?? 0.5));
    stage.valueAt = values(image, output);
    const sizes = ["original", "native"].map((name) => h("button.tab", {
      type: "button", "aria-pressed": String((params.size ?? "original") === name), on: { click: () => change({ size: name === "original" ? null : name }) },
    }, t(`made.${name}`)));
    fill(panel,
      h("h2", {}, t("made.title")), h("div.tabs", {}, sizes),
      isOriginal ? slider(t("made.wipe"), { min: 0, max: 1, step: 0.01, value: Number(params.wipe ?? 0.5), write: (v) => percent(v, 0) }, (value) => {
        wipe(value);
        change({ wipe: value }, { quietly: true });
      }) : null,
      h("p.note", {}, t("made.about", { width: output.width, height: output.height, min: number(output.min), max: number(output.max) })));
    return { lines: [t("made.about", { width: output.width, height: output.height, min: number(output.min), max: number(output.max) })] };
  },
};

/** The part of `image` right of the edge; the rest is transparent. */
function rightOf(image, part) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  const edge = Math.round(part * image.width);
  context.drawImage(image, edge, 0, image.width - edge, image.height, edge, 0, image.width - edge, image.height);
  context.fillStyle = "rgb(255 255 255 / 0.9)";
  if (edge > 0 && edge < image.width) context.fillRect(edge - 1, 0, 2, image.height);
  return canvas;
}

/** The module's own values at a pixel: sample s of n bits is `black + s / (2ⁿ − 1) · (white − black)`. */
function values(image, { channels, black, white, width, height }) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return (x, y) => {
    const pixel = context.getImageData(x, y, 1, 1).data;
    if (pixel[3] === 0) return t("made.unseen");
    const all = Array.from({ length: channels }, (_, c) => number(black[c] + (pixel[c] / 255) * (white[c] - black[c])));
    return all.join(" ");
  };
}
