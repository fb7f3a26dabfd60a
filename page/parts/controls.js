/** Small controls with their labels. */

import { h } from "../dom.js";
import { number } from "../language/index.js";

let count = 0;
const fresh = () => {
  count += 1;
  return `control-${count}`;
};

/**
 * A slider that shows its value.
 *
 * @param {string} label
 * @param {{min: number, max: number, step: number, value: number, write?: (value: number) => string}} range
 * @param {(value: number) => void} moved while it moves
 * @param {(value: number) => void} [settled] when it is let go
 */
export function slider(label, { min, max, step, value, write = (v) => number(v) }, moved, settled) {
  const id = fresh();
  const shown = h("output", { for: id }, write(value));
  const input = h("input", { type: "range", id, min: String(min), max: String(max), step: String(step) });
  input.value = String(value);
  input.addEventListener("input", () => {
    shown.textContent = write(Number(input.value));
    moved(Number(input.value));
  });
  if (settled !== undefined) input.addEventListener("change", () => settled(Number(input.value)));
  return h("div.slider", {}, h("label", { for: id }, label), input, shown);
}

/**
 * A list to choose one of.
 *
 * @param {string} label
 * @param {[string, string][]|{group: string, options: [string, string][]}[]} options values and their names, or groups of them
 * @param {string} value
 * @param {(value: string) => void} chosen
 */
export function choice(label, options, value, chosen) {
  const id = fresh();
  const option = ([name, text]) => h("option", { value: name }, text);
  const select = h("select", { id, on: { change: () => chosen(select.value) } },
    options.map((one) => (Array.isArray(one) ? option(one) : h("optgroup", { label: one.group }, one.options.map(option)))));
  select.value = value;
  return h("div.field", {}, h("label", { for: id }, label), select);
}

/**
 * A field for a number or a word, told of when it is left or Enter is pressed.
 *
 * @param {string} label
 * @param {{value: string, type?: string, placeholder?: string, hint?: string, list?: string[]}} what
 * @param {(value: string) => void} changed
 */
export function field(label, { value, type = "text", placeholder = "", hint, list, step }, changed) {
  const id = fresh();
  const input = h("input", { id, type, placeholder, step, value, autocomplete: "off", spellcheck: false });
  if (type === "number" && step === undefined) input.step = "any";
  input.addEventListener("change", () => changed(input.value));
  const options = list === undefined ? null : h("datalist", { id: `${id}-list` }, list.map((one) => h("option", { value: one })));
  if (options !== null) input.setAttribute("list", options.id);
  const note = hint === undefined ? null : h("p.note", { id: `${id}-hint` }, hint);
  if (note !== null) input.setAttribute("aria-describedby", note.id);
  return h("div.field", {}, h("label", { for: id }, label), input, options, note);
}

/** A box to tick. */
export function tick(label, checked, changed) {
  const input = h("input", { type: "checkbox", checked });
  input.addEventListener("change", () => changed(input.checked));
  return h("label.tick", {}, input, h("span", {}, label));
}

/** A bar for a part, 0 to 1. The number stands beside it, so that the bar says nothing of its own. */
export function bar(part) {
  return h("span.bar", { "aria-hidden": "true" }, h("span", { style: { "inline-size": `${Math.max(0, Math.min(1, part)) * 100}%` } }));
}
