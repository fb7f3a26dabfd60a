/** Calls as programs: what to type to get the same answer. */

import { pathOf } from "../server/calls.js";
import { key } from "../server/key.js";

/** A word for the shell. */
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/**
 * @typedef {import("../server/calls.js").Call | {get: string, python?: string}} Asked a call of a model; or what is read
 *   from a path, with the client's method for it where it has one
 */

/** @param {Asked[]} calls as lines for the shell */
export const curl = (calls) => calls.map(oneCurl).join("\n\n");

function oneCurl(call) {
  if (call.get !== undefined) return `curl ${location.origin}${call.get}${key() === null ? "" : ' -H "Authorization: Bearer $KEY"'}`;
  const lines = ["curl"];
  const { pictures = [], json } = call;
  if (json !== undefined) lines.push(`  -H 'Content-Type: application/json' -d ${quoted(JSON.stringify(json))}`);
  else if (pictures.length === 1) lines.push(`  --data-binary ${quoted(`@${pictures[0].picture.name}`)}`);
  else if (pictures.length === 0) lines.push("  -X POST");
  for (const { field, picture } of pictures.length > 1 ? pictures : []) {
    // Quotes of curl's own: a comma or a semicolon in the name would end it.
    lines.push(`  -F ${quoted(`${field}=@"${picture.name.replaceAll(/["\\]/g, "\\$&")}"`)}`);
  }
  if (key() !== null) lines.push('  -H "Authorization: Bearer $KEY"');
  lines.push(`  ${quoted(location.origin + pathOf(call))}`);
  return lines.join(" \\\n");
}

const literal = (value) => {
  if (value === true) return "True";
  if (value === false) return "False";
  return JSON.stringify(value);
};

/** @param {Asked[]} calls as lines of Python */
export function python(calls) {
  const secret = key() === null ? "" : ', key=os.environ["KEY"]';
  const head = [
    ...(secret === "" ? [] : ["import os", ""]),
    "from lucarne_server import Client",
    "",
    `client = Client(${literal(location.origin)}${secret})`,
  ];
  const lines = calls.map((call) => (call.get === undefined ? pythonCall(call) : call.python)).filter(Boolean);
  const named = lines.length === 1 ? [`answer = client.${lines[0]}`] : lines.map((line, index) => `answer_${index + 1} = client.${line}`);
  return [...head, ...named].join("\n");
}

function pythonCall({ model, operation, query, pictures = [], json }) {
  const named = Object.entries(query).map(([name, value]) => `${name}=${literal(numeric(value))}`);
  const names = pictures.map(({ picture }) => literal(picture.name));
  const list = (...parts) => `(${[literal(model), ...parts, ...named].join(", ")})`;
  if (operation === "decode") return `decode(${literal(model)}, ${literal(json.latents)})`;
  if (operation === "predict" && json !== undefined) return tensors(model, json.inputs);
  // The client has no method for it.
  if (operation === "explain/compare") return null;
  if (operation === "explain" && names.length === 2) return `explain${list(names[0], `reference=${names[1]}`)}`;
  return `${operation}${list(...names)}`;
}

function tensors(model, inputs) {
  const arrays = inputs.map(({ name, shape, data }) => `    ${literal(name)}: np.reshape(${JSON.stringify(data)}, ${JSON.stringify(shape)}),`);
  return ["predict_tensors(", `    ${literal(model)}, {`, ...arrays, "    },", ")  # import numpy as np, with each input's dtype"].join("\n");
}

const numeric = (value) => (typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value);
