/** The parameters of a method, as `/explainers` describes them. In the address they begin with `p.`. */

import { h } from "../../dom.js";
import { t } from "../../language/index.js";
import { field, tick } from "../../parts/controls.js";
import { change } from "../../state/address.js";

const PREFIX = "p.";
/** These have controls of their own. */
const APART = ["target", "layer"];

/**
 * What the address says for the parameters that this method has.
 *
 * @param {{parameters: {name: string}[]}} explainer
 * @param {Object<string, string>} params
 */
export function given(explainer, params) {
  const named = explainer.parameters.filter(({ name }) => !APART.includes(name)).map(({ name }) => [name, params[PREFIX + name]]);
  return Object.fromEntries(named.filter(([, value]) => value !== undefined));
}

/** Changes that forget every parameter: those of another method would be refused. */
export const forgotten = (params) =>
  Object.fromEntries(Object.keys(params).filter((name) => name.startsWith(PREFIX)).map((name) => [name, null]));

/** The fields, folded away. */
export function parameterFields(explainer, params) {
  const listed = explainer.parameters.filter(({ name }) => !APART.includes(name));
  if (listed.length === 0) return null;
  const isOpen = Object.keys(given(explainer, params)).length > 0;
  return h("details.parameters", { open: isOpen }, h("summary", {}, t("explain.parameters")), listed.map((one) => control(one, params[PREFIX + one.name])));
}

function control({ name, type, default: preset, description }, value) {
  const put = (next) => change({ [PREFIX + name]: next, run: null });
  if (type === "boolean") return tick(name, (value ?? String(preset)) === "true", (checked) => put(checked === preset ? null : checked));
  const isNumber = type === "integer" || type === "number";
  return field(name, {
    value: value ?? "", type: isNumber ? "number" : "text", step: type === "integer" ? "1" : undefined,
    placeholder: preset === null || preset === undefined ? "" : String(preset), hint: description.replaceAll("`", ""),
  }, (next) => put(next || null));
}
