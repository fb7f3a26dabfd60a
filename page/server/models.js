/** The models that are served, and what is known of each: asked now and then, and remembered. */

import { Problem } from "./problem.js";
import { sendForJson } from "./request.js";

/**
 * @typedef {object} Model as `GET /v1/models` has it; what follows `state` is there when it is ready
 * @property {string} name
 * @property {"loading"|"ready"|"failed"|"unloaded"} state
 * @property {string} [error]
 * @property {string} [task]
 * @property {string} [description]
 * @property {string} [version]
 * @property {string[]} [versions]
 * @property {{size: [number, number], resize: string, resize_to?: number, color: string}} [input]
 * @property {string[]} [labels]
 * @property {string} [device]
 * @property {number} [parameters]
 * @property {string} [precision]
 */

const SECOND = 1000;
const listeners = new Set();

/** @type {Model[]|null} */
let known = null;
let problem = null;
let timer = 0;

/** @returns {Model[]|null} null before the first answer */
export const models = () => known;

/** @returns {Problem|null} why there is no list */
export const modelsProblem = () => problem;

/** @param {string|undefined} name */
export const model = (name) => known?.find((one) => one.name === name) ?? null;

/** Calls `listener` when the list has changed. */
export function onModels(listener) {
  listeners.add(listener);
}

/** Asks again now, and from then on as often as it takes: soon while anything is loading or the server is away. */
export async function refreshModels() {
  clearTimeout(timer);
  const before = JSON.stringify([known, problem]);
  let next = 10 * SECOND;
  try {
    known = (await sendForJson("/v1/models")).models;
    problem = null;
    if (known.some((one) => one.state === "loading")) next = SECOND;
  } catch (error) {
    problem = error instanceof Problem ? error : null;
    next = 2 * SECOND;
  }
  timer = setTimeout(refreshModels, next);
  if (JSON.stringify([known, problem]) !== before) {
    facts.clear();
    for (const listener of listeners) listener();
  }
}

/** @type {Map<string, Promise<any>>} */
const facts = new Map();

/** The methods that a model supports. @param {string} name @returns {Promise<{method: string}[]>} */
export const explainers = (name) => fact(name, "explainers").then((answer) => answer.explainers);

/** The layers that a model can be asked for. @param {string} name */
export const layers = (name) => fact(name, "layers");

function fact(name, kind) {
  const path = `/v1/models/${encodeURIComponent(name)}/${kind}`;
  let asked = facts.get(path);
  if (asked === undefined) {
    asked = sendForJson(path);
    asked.catch(() => facts.delete(path));
    facts.set(path, asked);
  }
  return asked;
}
