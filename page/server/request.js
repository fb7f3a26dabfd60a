/** Every request to the server goes through here: its key, its errors, and whether the server is there at all. */

import { askForKey, key } from "./key.js";
import { Unreachable, problemOf } from "./problem.js";

const listeners = new Set();
let isThere = true;

/** Calls `listener` with whether the server answers, whenever that changes. */
export function onReach(listener) {
  listeners.add(listener);
}

/**
 * Sends a request, and throws what is no success.
 *
 * @param {string} path
 * @param {RequestInit & {silently?: boolean}} [init] `silently`: never ask for a key
 * @returns {Promise<Response>}
 * @throws {Problem|Unreachable|DOMException}
 */
export async function send(path, init = {}) {
  const response = await reach(path, init);
  if (response.status === 401 && !init.silently && (await askForKey())) return checked(await reach(path, init));
  return checked(response);
}

/** {@link send}, and reads the answer's JSON. */
export async function sendForJson(path, init = {}) {
  const response = await send(path, { ...init, headers: { accept: "application/json", ...init.headers } });
  return response.json();
}

async function checked(response) {
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function reach(path, { silently: _, ...init }) {
  const held = key();
  const headers = held === null ? init.headers : { ...init.headers, authorization: `Bearer ${held}` };
  try {
    const response = await fetch(path, { ...init, headers });
    reached(true);
    return response;
  } catch (error) {
    if (init.signal?.aborted) throw error;
    reached(false);
    throw new Unreachable(String(error));
  }
}

function reached(now) {
  if (now === isThere) return;
  isThere = now;
  for (const listener of listeners) listener(now);
}
