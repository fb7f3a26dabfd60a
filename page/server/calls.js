/**
 * What is asked of a model. A call is data: the same one is sent, cached, and written as curl and Python.
 */

import { events } from "./events.js";
import { send, sendForJson } from "./request.js";

/**
 * @typedef {object} Call
 * @property {string} model
 * @property {"predict"|"explain"|"explain/compare"|"compare"|"decode"|"sample"|"interpolate"} operation
 * @property {Object<string, string|number|boolean>} query
 * @property {{field: string, picture: import("../state/desk.js").Picture}[]} [pictures] the files of the body
 * @property {object} [json] a body of JSON instead
 */

/** The path and query of a call. @param {Call} call */
export function pathOf(call) {
  const pairs = Object.entries(call.query).map(([name, value]) => `${encodeURIComponent(name)}=${readable(String(value))}`);
  const tail = pairs.length > 0 ? `?${pairs.join("&")}` : "";
  return `/v1/models/${encodeURIComponent(call.model)}/${call.operation}${tail}`;
}

/** As `encodeURIComponent`, but for what a query may have as it is: `box=1,2,3,4` stays so. */
const readable = (text) => encodeURIComponent(text).replace(/%(2C|3D|40|3A)/g, (code) => decodeURIComponent(code));

function initOf(call, signal) {
  const { pictures = [], json } = call;
  if (json !== undefined) {
    return { method: "POST", signal, body: JSON.stringify(json), headers: { "content-type": "application/json" } };
  }
  // A single file is the body itself; the server tells its kind by its content.
  if (pictures.length === 1) return { method: "POST", signal, body: pictures[0].picture.blob };
  if (pictures.length === 0) return { method: "POST", signal };
  const body = new FormData();
  for (const { field, picture } of pictures) body.append(field, picture.blob, picture.name);
  return { method: "POST", signal, body };
}

/** Answers are kept, so that going back costs nothing. */
const KEPT = 40;
/** @type {Map<string, any>} */
const answers = new Map();

const nameOf = (call) =>
  JSON.stringify([pathOf(call), call.json, call.pictures?.map(({ field, picture }) => [field, picture.id])]);

/**
 * Asks, or remembers.
 *
 * @param {Call} call
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>} the answer's JSON
 */
export async function ask(call, signal) {
  const name = nameOf(call);
  if (answers.has(name)) return answers.get(name);
  return remember(name, await sendForJson(pathOf(call), initOf(call, signal)));
}

/**
 * {@link ask}, with the progress of long methods on the way.
 *
 * @param {Call} call
 * @param {AbortSignal} signal
 * @param {(done: number, planned: number) => void} progress
 */
export async function askLong(call, signal, progress) {
  const name = nameOf(call);
  if (answers.has(name)) return answers.get(name);
  const init = initOf(call, signal);
  const headers = { ...init.headers, accept: "text/event-stream" };
  const response = await send(pathOf(call), { ...init, headers });
  const last = await events(response, (event, data) => {
    if (event === "progress") progress(data.done, data.planned);
  });
  return remember(name, last);
}

/** @param {Call} call the answer as a PNG */
export async function askForPng(call, signal) {
  const init = initOf(call, signal);
  return (await send(pathOf(call), { ...init, headers: { ...init.headers, accept: "image/png" } })).blob();
}

/** @param {Call} call the answer as bytes of NPY */
export async function askForNpy(call, signal) {
  const init = initOf(call, signal);
  const response = await send(pathOf(call), { ...init, headers: { ...init.headers, accept: "application/x-npy" } });
  return response.arrayBuffer();
}

function remember(name, answer) {
  answers.set(name, answer);
  if (answers.size > KEPT) answers.delete(answers.keys().next().value);
  return answer;
}
