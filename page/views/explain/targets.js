/**
 * What can be explained, by task: a control to choose it, and what pointing at the picture means. `answer` is that of
 * a prediction of the same picture, from which classes, objects and words come.
 *
 * Each task has
 * - `control(context)`: elements; `choose(target)` takes the target as the server wants it;
 * - `tap(context, x, y)` and `box(context, box)`, where pointing has a meaning: the target of a place;
 * - `fallback(context)`: the target where none is chosen, if the server has none of its own.
 */

import { h } from "../../dom.js";
import { percent, t } from "../../language/index.js";
import { choice, field } from "../../parts/controls.js";
import { spoken } from "../try/captioning.js";
import { within } from "../try/detection.js";

/** The list of choices, with what is chosen now among them even if it is none of them. */
function list(options, { target, choose }) {
  const isListed = target === undefined || options.some(([value]) => value === target);
  const all = isListed ? options : [...options, [target, target]];
  return choice(t("target.label"), [["", t("target.best")], ...all], target ?? "", (value) => choose(value || null));
}

const classification = {
  control(context) {
    const { prediction, model, choose } = context;
    const named = /^\d+$/.test(context.target ?? "") ? model.labels[Number(context.target)] : undefined;
    const options = prediction.classes.map(({ class_id: id, label, score }) => [String(id), `${label} · ${percent(score)}`]);
    if (named !== undefined && !options.some(([id]) => id === context.target)) options.push([context.target, named]);
    return [
      list(options, context),
      field(t("target.class"), { value: "", placeholder: t("target.classExample"), list: model.labels }, (value) => choose(value || null)),
    ];
  },
};

const segmentation = {
  control(context) {
    const found = context.prediction.classes.map(({ class_id: id, label, fraction }) => [String(id), `${label} · ${percent(fraction)}`]);
    return [list([...found, ["all", t("target.all")]], context), h("p.note", {}, t("target.tapPixel")), ...pixelFields(context, (at) => segmentation.tap(context, ...at))];
  },
  tap({ prediction, idAt }, x, y) {
    const index = idAt(x, y);
    return index === null ? null : `${prediction.mask.rle[index].class_id}@pixel=${x},${y}`;
  },
};

const detection = {
  control(context) {
    const objects = context.prediction.objects.map(({ label, score }, index) => [String(index), `${label} · ${percent(score)}`]);
    return [list([...objects, ["all", t("target.allObjects")]], context), h("p.note", {}, t("target.tapBox"))];
  },
  tap({ prediction }, x, y) {
    const area = ({ box }) => (box.x_max - box.x_min) * (box.y_max - box.y_min);
    const hit = prediction.objects.filter(({ box }) => within(box, x, y)).sort((a, b) => area(a) - area(b));
    return hit.length === 0 ? null : String(prediction.objects.indexOf(hit[0]));
  },
  box: (_, box) => `box=${box.map(Math.round).join(",")}`,
};

const captioning = {
  control(context) {
    const { prediction, target, choose } = context;
    const [caption] = prediction.captions;
    const words = spoken(caption).map((token, index) => {
      const value = `word=${index}`;
      return h("button.word", { type: "button", "aria-pressed": String(target === value), on: { click: () => choose(value) } }, token.text);
    });
    const rest = [["", t("target.words")], ["caption", t("target.caption")]];
    return [
      h("div.field", {}, h("span.label", {}, t("target.word")), h("p.caption.small", {}, words.flatMap((word) => [word, " "]))),
      choice(t("target.label"), target?.startsWith("word=") ? [...rest, [target, t("target.oneWord")]] : rest, target ?? "", (value) => choose(value || null)),
    ];
  },
};

const vae = {
  control(context) {
    const { prediction, target, choose } = context;
    const count = prediction.latent.mu.length;
    const index = /^mu\[(\d+)\]$/.exec(target ?? "")?.[1] ?? "";
    return [
      list([["sum_mu", t("target.sum")], ["reconstruction", t("target.reconstruction")]], context),
      field(t("target.latent", { last: count - 1 }), { value: index, type: "number", step: "1" }, (value) => choose(value === "" ? null : `mu[${value}]`)),
    ];
  },
};

const embedding = {
  needsOther: true,
  control(context) {
    const { target, choose, prediction } = context;
    const index = /^\d+$/.test(target ?? "") ? target : "";
    return [
      list([["similarity", t("target.similarity")]], context),
      field(t("target.dimension", { last: prediction.embedding.dimension - 1 }), { value: index, type: "number", step: "1" }, (value) => choose(value || null)),
    ];
  },
};

const imageToImage = {
  control: (context) => [h("p.note", {}, t("target.tapMade")), ...pixelFields(context, (at) => `pixel=${at.join(",")}`)],
  tap: (_, x, y) => `pixel=${x},${y}`,
  box: (_, box) => `box=${box.map(Math.round).join(",")}`,
  fallback: ({ picture }) => `pixel=${Math.round(picture.width / 2)},${Math.round(picture.height / 2)}`,
};

const regression = {
  control(context) {
    const names = context.prediction.values.map(({ name }, index) => [String(index), name ?? String(index)]);
    return [list([...names, ["all", t("target.allNumbers")]], context)];
  },
  fallback: () => "0",
};

/** Two fields for a pixel: what a click says, by keyboard. */
function pixelFields({ target, choose }, made) {
  const at = pointOf(target) ?? ["", ""];
  const now = [...at];
  const one = (axis, index) => field(axis, { value: String(at[index]), type: "number", step: "1" }, (value) => {
    now[index] = value;
    if (now.every((side) => side !== "")) choose(made(now.map(Number)));
  });
  return [h("div.row", {}, one("x", 0), one("y", 1))];
}

/** The pixel that a target names; null for others. @param {string|undefined} target */
export function pointOf(target) {
  const found = /pixel=([\d.]+),([\d.]+)/.exec(target ?? "");
  return found === null ? null : [Number(found[1]), Number(found[2])];
}

/** The box that a target names; null for others. @param {string|undefined} target */
export function boxOf(target) {
  const found = /box=([\d.]+),([\d.]+),([\d.]+),([\d.]+)/.exec(target ?? "");
  return found === null ? null : found.slice(1).map(Number);
}

export const TARGETS = {
  captioning,
  classification,
  detection,
  embedding,
  image_to_image: imageToImage,
  regression,
  segmentation,
  vae,
};
