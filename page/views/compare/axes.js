/**
 * What can be compared. Each axis has `options(context)`: what can be chosen, `[value, name]`; `first(context)`: what is
 * chosen to begin with; `cell(context, value)`: the question of a cell.
 */

import { percent, t, tOr } from "../../language/index.js";
import { walk } from "../../parts/layer-tree.js";
import { SLOW, passes } from "../../server/explanations.js";
import { models } from "../../server/models.js";
import { spoken } from "../try/captioning.js";
import { TARGETS } from "../explain/targets.js";

const FEW = 4;
const hasLayer = ({ parameters }) => parameters.some(({ name }) => name === "layer");

const methods = {
  options: ({ explainers }) => explainers.map((one) => [one.method, tOr(`method.${one.method}`, one.method) + (passes(one) > SLOW ? ` · ${t("compare.slow")}` : "")]),
  first: ({ explainers }) => ["grad_cam", "layer_cam", "eigen_cam", "saliency"].filter((name) => explainers.some(({ method }) => method === name)),
  cell: (context, value) => ({ ...context.base, method: value, layer: undefined }),
};

const targets = {
  options: (context) => named(context.model.task, context.prediction),
  first: (context) => targets.options(context).slice(0, FEW).map(([value]) => value),
  cell: (context, value) => ({ ...context.base, target: value }),
};

const layers = {
  options: ({ layers: listed }) => walk(listed, 16).map(({ path, shape }) => [path, `${path} (${shape.slice(2).join(" × ")})`]),
  first: (context) => {
    const paths = layers.options(context).map(([path]) => path);
    return [...new Set([0, 1, 2, 3].map((part) => paths[Math.round((part * (paths.length - 1)) / (FEW - 1))]))];
  },
  cell: (context, value) => ({ ...context.base, method: hasLayer(context.explainer) ? context.base.method : "grad_cam", layer: value }),
};

const others = {
  options: () => (models() ?? []).filter(({ state, task }) => state === "ready" && TARGETS[task] !== undefined && task !== "embedding").map(({ name, task }) => [name, `${name} · ${tOr(`task.${task}`, task)}`]),
  first: (context) => {
    const names = others.options(context).map(([name]) => name);
    const alike = names.filter((name) => ["classification", "detection", "segmentation"].includes(models().find((one) => one.name === name).task));
    return [...new Set([context.model.name, ...alike])].filter((name) => names.includes(name)).slice(0, FEW);
  },
  cell: ({ picture, base }, value) => {
    const model = models().find(({ name }) => name === value);
    return { model, method: base.method, target: TARGETS[model.task].fallback?.({ picture }), layer: undefined, picture };
  },
};

const pictures = {
  options: ({ picture, other }) => [picture, other].filter(Boolean).map(({ id, name }) => [id, name]),
  first: ({ picture, other }) => [picture, other].filter(Boolean).map(({ id }) => id),
  cell: (context, value) => ({ ...context.base, picture: value === context.picture.id ? context.picture : context.other }),
};

export const AXES = { methods, targets, layers, models: others, pictures };

/** The targets that a prediction offers, by task. */
function named(task, prediction) {
  const classes = (extra) => prediction.classes.map((one) => [String(one.class_id), `${one.label} · ${percent(extra(one))}`]);
  switch (task) {
    case "classification": return classes(({ score }) => score);
    case "segmentation": return classes(({ fraction }) => fraction);
    case "detection": return prediction.objects.slice(0, 12).map(({ label, score }, index) => [String(index), `${label} · ${percent(score)}`]);
    case "captioning": return spoken(prediction.captions[0]).map(({ text }, index) => [`word=${index}`, text]);
    case "regression": return prediction.values.map(({ name }, index) => [String(index), name ?? String(index)]);
    case "vae": return [["sum_mu", t("target.sum")], ["reconstruction", t("target.reconstruction")], ...[0, 1, 2, 3, 4, 5].map((index) => [`mu[${index}]`, `mu[${index}]`])];
    default: return [];
  }
}

/** The target that two pictures can share: the best class of the first. */
export const shared = (model, prediction) => (model.task === "classification" ? String(prediction.classes[0].class_id) : undefined);
