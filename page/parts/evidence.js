/**
 * What speaks for a map: numbers that the server measures beside it, where the answer has them as `evidence`. This is
 * the one place where they are shown.
 */

import { h } from "../dom.js";
import { number, percent, t } from "../language/index.js";
import { sparkline } from "./sparkline.js";

/**
 * @typedef {object} Evidence
 * @property {{area: number, scores: number[]}} deletion
 * @property {{area: number, scores: number[]}} insertion
 * @property {{deletion: number, insertion: number}} random
 * @property {number} [inside]
 * @property {{change: number, score_change: number}} [stability]
 * @property {{depends: boolean|null, threshold: number, stages: {correlation: number}[]}} [weights]
 */

/**
 * @param {{evidence?: Evidence}} explanation
 * @returns {HTMLElement|null} null where the answer has none
 */
export function evidence({ evidence: found }) {
  if (found === undefined || found === null) return null;
  const { deletion, insertion, random, inside, stability, weights } = found;
  const rows = [
    row("deletion", curve(deletion.scores), beside(deletion.area, random.deletion)),
    row("insertion", curve(insertion.scores), beside(insertion.area, random.insertion)),
  ];
  if (inside !== undefined) rows.push(row("inside", percent(inside, 0)));
  if (stability !== undefined) {
    rows.push(row("stability", t("evidence.changes", { change: percent(stability.change, 1), score: number(stability.score_change, 3) })));
  }
  if (weights !== undefined) rows.push(row("weights", learned(weights)));
  return h("section.evidence", {}, h("h3", {}, t("evidence.title")),
    h(`p.verdict.${verdict(found)}`, {}, t(`evidence.verdict.${verdict(found)}`)), h("dl.facts", {}, rows));
}

/** Which of four sentences holds. @param {Evidence} found */
function verdict({ deletion, insertion, random }) {
  const scores = [...deletion.scores, ...insertion.scores].filter((score) => score !== null);
  // As the server has it: random maps differ by as much among themselves.
  const margin = 0.02 * (Math.max(...scores) - Math.min(...scores));
  const [goes, comes] = [deletion.area + margin < random.deletion, insertion.area > random.insertion + margin];
  if (goes && comes) return "both";
  if (goes) return "deletion";
  return comes ? "insertion" : "neither";
}

const row = (name, ...said) => h("div", {}, h("dt", { title: t(`evidence.about.${name}`) }, t(`evidence.${name}`)), h("dd", {}, said));

const beside = (area, chance) => h("span", {}, t("evidence.beside", { area: number(area, 3), chance: number(chance, 3) }));

/** Whether the map is another one where the weights are random. */
function learned({ depends, threshold, stages }) {
  if (depends === null) return t("evidence.weights.unknown");
  const most = number(Math.max(...stages.map(({ correlation }) => correlation)), 2);
  return t(`evidence.weights.${depends}`, { most, threshold: number(threshold) });
}

/** The scores as a curve; its area stands beside it. */
const curve = (scores) => sparkline(scores.map((score) => score ?? 0));
