/** What was explained, in words. */

import { number, percent, t } from "../language/index.js";

/** @param {any} target of an explanation */
export function targetName(target) {
  if (target.similarity !== undefined) return t("target.similarityIs", { value: number(target.similarity) });
  if (target.latent !== undefined) return `${target.latent} = ${number(target.value)}`;
  if (target.log_prob !== undefined) return `${target.text} (${percent(Math.exp(target.log_prob))})`;
  if (target.number !== undefined) return `${target.name ?? target.number}: ${number(target.value, 4)}${target.unit ? ` ${target.unit}` : ""}`;
  if (target.pixel) return [target.label, `(${target.pixel.map(Math.round).join(", ")})`].filter(Boolean).join(" ");
  if (target.cells !== undefined && target.label !== undefined) return target.label;
  if (target.box) return [target.label, target.score === undefined ? null : percent(target.score)].filter(Boolean).join(", ") || boxName(target.box);
  if (target.label !== undefined) return `${target.label}, ${percent(target.score)}`;
  return Object.entries(target).map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(", ");
}

const boxName = (box) => (Array.isArray(box) ? box : Object.values(box)).map(Math.round).join(", ");
