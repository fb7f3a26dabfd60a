/** A vector, and how like that of another picture it is. */

import { fill, h } from "../../dom.js";
import { number, t } from "../../language/index.js";
import { table } from "../../drawing/colours.js";
import { ask } from "../../server/calls.js";
import { href } from "../../state/address.js";
import { predictCall } from "./call.js";

export const embedding = {
  other: "compare",

  call: (context) => predictCall(context, []),

  more: ({ model, picture, other }) => (other === null ? [] : [comparison(model, picture, other)]),

  async show({ prediction, panel, model, picture, other, signal }) {
    const { dimension, normalised, vector } = prediction.embedding;
    const compared = other === null ? null : await ask(comparison(model, picture, other), signal);
    if (signal.aborted) return { lines: [] };
    const about = t(normalised ? "embedding.unit" : "embedding.plain", { dimension });
    fill(panel,
      h("h2", {}, t("embedding.title")),
      compared === null ? h("p.note", {}, t("embedding.choose")) : likeness(compared.comparison, picture, other, model),
      h("h3", {}, t("embedding.vector")), stripes(vector), h("p.note", {}, about));
    return { lines: [about, ...(compared === null ? [] : [t("embedding.line", { value: number(compared.comparison.cosine) })])] };
  },
};

const comparison = (model, picture, other) => ({
  model: model.name, operation: "compare", query: {},
  pictures: [{ field: "a", picture }, { field: "b", picture: other }],
});

function likeness({ cosine, dot, euclidean }, picture, other, model) {
  const meter = h("div.cosine", { "aria-hidden": "true" }, h("span", { style: { "inset-inline-start": `${((cosine + 1) / 2) * 100}%` } }));
  return h("div", {},
    h("div.pair", {}, thumb(picture), h("p.big", {}, number(cosine, 3), h("span.unit", {}, t("embedding.cosine"))), thumb(other)),
    meter, h("div.scale", { "aria-hidden": "true" }, h("span", {}, "−1"), h("span", {}, "0"), h("span", {}, "1")),
    h("p.note", {}, t("embedding.more", { dot: number(dot), euclidean: number(euclidean) })),
    h("p", {}, h("a", { href: href("explain", { model: model.name, picture: picture.id, other: other.id }) }, t("embedding.why"))));
}

/** A small copy of a picture. */
export function thumb(picture, side = 120) {
  const scale = Math.min(1, (2 * side) / Math.max(picture.width, picture.height));
  const canvas = h("canvas.thumb", { role: "img", "aria-label": picture.name });
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  canvas.getContext("2d").drawImage(picture.bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** The vector as stripes, red above zero and blue below. */
function stripes(vector) {
  const colours = table("red_blue");
  const reach = Math.max(...vector.map(Math.abs)) || 1;
  const canvas = h("canvas.stripes", { role: "img", "aria-label": t("embedding.stripes") });
  [canvas.width, canvas.height] = [vector.length, 1];
  const context = canvas.getContext("2d");
  const image = context.createImageData(vector.length, 1);
  vector.forEach((value, index) => {
    const at = 3 * Math.round(127.5 + (127.5 * value) / reach);
    image.data.set([colours[at], colours[at + 1], colours[at + 2], 255], 4 * index);
  });
  context.putImageData(image, 0, 0);
  canvas.addEventListener("pointermove", (event) => {
    const index = Math.min(vector.length - 1, Math.floor((event.offsetX / canvas.clientWidth) * vector.length));
    canvas.title = `[${index}] ${number(vector[index])}`;
  });
  return canvas;
}
