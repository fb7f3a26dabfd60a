/** A model of tensors: values in, values out. */

import { fill, h } from "../../dom.js";
import { number, t } from "../../language/index.js";
import { ask } from "../../server/calls.js";
import { isAborted } from "../../server/problem.js";

const WHOLE = ["u8", "i32", "i64"];
/** More values than these are not written one by one. */
const WRITTEN = 4096;

export const tensor = {
  takesTensors: true,

  form({ model, place, panel, signal, done, fail }) {
    const inputs = model.inputs.map(entry);
    const answer = h("div", { role: "status" });
    const predict = async () => {
      try {
        const call = { model: model.name, operation: "predict", query: {}, json: { inputs: inputs.map((one) => one.read()) } };
        const said = await ask(call, signal);
        const { outputs } = said.predictions[0];
        fill(answer, outputs.map(output));
        done(call, said, outputs.map(({ name, data }) => `${name}: ${data.slice(0, 8).map((one) => (typeof one === "number" ? number(one, 4) : one)).join(", ")}`));
      } catch (error) {
        if (!isAborted(error)) fail(error);
      }
    };
    const submit = (event) => {
      event.preventDefault();
      predict();
    };
    fill(place, h("form.tensors", { on: { submit } },
      inputs.map((one) => one.element), h("div.actions", {}, h("button.primary", {}, t("tensor.ask")))));
    fill(panel, answer);
  },
};

function entry({ name, dtype, shape }) {
  const fixed = shape.map((side) => (side < 0 ? 1 : side));
  const id = `tensor-${name}`;
  const sides = h("input", { id: `${id}-shape`, value: fixed.join(" × "), autocomplete: "off" });
  const text = h("textarea", { id, rows: 4, spellcheck: false });
  const size = () => sides.value.split(/[^\d]+/).filter(Boolean).map(Number);
  const fillWith = (make) => {
    text.value = Array.from({ length: Math.min(WRITTEN, size().reduce((a, b) => a * b, 1)) }, make).join(" ");
  };
  const random = WHOLE.includes(dtype) ? () => Math.floor(Math.random() * 2) : () => (Math.random() * 2 - 1).toFixed(3);
  fillWith(() => (dtype === "bool" ? "true" : "1"));
  const fills = [["0", () => "0"], ["1", () => "1"], [t("tensor.random"), random]].map(([label, make]) =>
    h("button.quiet", { type: "button", on: { click: () => fillWith(make) } }, label));
  const read = () => ({ name, shape: size(), data: text.value.split(/[\s,]+/).filter(Boolean).map((word) => value(word, dtype)) });
  const element = h("fieldset", {}, h("legend", {}, name, " ", h("span.note", {}, dtype)),
    h("label", { for: sides.id }, t("tensor.shape")), sides,
    h("label", { for: id }, t("tensor.values")), text, h("div.actions", {}, fills));
  return { read, element };
}

function value(word, dtype) {
  if (dtype === "bool") return word === "true" || word === "1";
  return Number(word);
}

function output({ name, shape, data }) {
  const rows = shape.length > 0 ? shape[shape.length - 1] : 1;
  const shown = data.slice(0, 512);
  const lines = [];
  for (let at = 0; at < shown.length; at += rows) lines.push(shown.slice(at, at + rows));
  return h("section", {}, h("h3", {}, name, " ", h("span.note", {}, `[${shape.join(", ")}]`)),
    h("div.scroller", { tabIndex: 0, role: "region", "aria-label": name },
      h("table.values", {}, h("tbody", {}, lines.map((line) => h("tr", {}, line.map((one) => h("td", {}, typeof one === "number" ? number(one, 4) : String(one)))))))),
    data.length > shown.length ? h("p.note", {}, t("tensor.more", { count: data.length - shown.length })) : null);
}
