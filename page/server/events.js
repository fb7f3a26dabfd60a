/** Reads an event stream that answers a POST, which `EventSource` cannot. */

import { Problem } from "./problem.js";

/**
 * Calls `each` with every event but the last, and answers the data of the last.
 *
 * @param {Response} response
 * @param {(event: string, data: any) => void} each
 * @throws {Problem} for an `error` event
 */
export async function events(response, each) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let last = null;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return last;
    const parts = (rest + value).split(/\r?\n\r?\n/);
    rest = parts.pop();
    for (const part of parts) {
      const { event, data } = parsed(part);
      if (data === null) continue;
      if (event === "error") throw new Problem(data.status ?? 500, data, response.headers.get("x-request-id"));
      last = data;
      each(event, data);
    }
  }
}

function parsed(part) {
  let event = "message";
  const lines = [];
  for (const line of part.split(/\r?\n/)) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    if (line.startsWith("data:")) lines.push(line.slice(5));
  }
  return { event, data: lines.length > 0 ? JSON.parse(lines.join("\n")) : null };
}
