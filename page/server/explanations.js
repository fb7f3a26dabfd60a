/** Explanations, and where their maps lie on the picture. */

import { ask, askLong } from "./calls.js";
import { learnPlacement, placementOf, whole } from "./placement.js";
import { isAborted } from "./problem.js";

/** More passes than these are worth progress. */
const LONG = 8;
/** More passes than these are only made when they are asked for. */
export const SLOW = 120;

/** How many passes a method makes. @param {{passes?: {forward: number, backward: number}}} explainer */
export const passes = ({ passes: count }) => (count?.forward ?? 1) + (count?.backward ?? 0);

/**
 * The call of an explanation.
 *
 * @param {{model: any, picture: any, other?: any}} of
 * @param {Object<string, any>} query empty values are left out
 * @returns {import("./calls.js").Call}
 */
export function explainCall({ model, picture, other }, query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const pictures = [{ field: "image", picture }];
  if (model.task === "embedding" && other) pictures.push({ field: "reference", picture: other });
  return { model: model.name, operation: "explain", query: Object.fromEntries(given), pictures };
}

/** Methods of one comparison: the server takes no more and no fewer. */
export const COMPARED = [2, 8];

/**
 * Asks how methods compare on one picture.
 *
 * @param {{model: any, picture: any, other?: any}} of
 * @param {Object<string, any>} query `methods` among them
 * @param {{signal: AbortSignal, progress: (done: number, planned: number) => void}} how
 * @returns {Promise<{call: import("./calls.js").Call, answer: any}>}
 */
export async function compareMethods(of, query, { signal, progress }) {
  const call = { ...explainCall(of, query), operation: "explain/compare" };
  return { call, answer: await askLong(call, signal, progress) };
}

/**
 * Asks for an explanation.
 *
 * @param {any} model
 * @param {import("./calls.js").Call} call
 * @param {{signal: AbortSignal, explainer: any, progress?: (done: number, planned: number) => void}} how
 * @returns {Promise<{answer: any, placement: import("./placement.js").Placement}>}
 */
export async function explain(model, call, { signal, explainer, progress = () => {} }) {
  const { width, height } = call.pictures[0].picture;
  let placement = placementOf(model, width, height);
  if (placement === null) {
    await learnPlacement(model, call, signal).catch((error) => {
      if (isAborted(error)) throw error;
    });
    placement = placementOf(model, width, height);
  }
  // The server lays the map on the picture itself where that cannot be done here.
  const asked = placement === null ? { ...call, query: { ...call.query, resolution: "original" } } : call;
  const isLong = passes(explainer) > LONG || call.query.evidence !== undefined;
  const answer = isLong ? await askLong(asked, signal, progress) : await ask(asked, signal);
  return { answer, placement: placement ?? whole(width, height) };
}
