/** `<film-strip>`: the same question at one layer after the other, from the first to the last. */

import { fill, h } from "../../dom.js";
import { t } from "../../language/index.js";
import { heatThumbnail } from "../../drawing/thumbnail.js";
import { sides, walk } from "../../parts/layer-tree.js";
import { explain, explainCall } from "../../server/explanations.js";
import { isAborted } from "../../server/problem.js";
import { change } from "../../state/address.js";

const FRAMES = 10;
/** Layers asked for at once: few, so that the first ones are seen soon. */
const TOGETHER = 2;

class FilmStrip extends HTMLElement {
  #under = null;

  disconnectedCallback() {
    this.#under?.abort();
  }

  /** @param {{model: any, picture: any, other: any, explainer: any, query: any, layers: any[], view: any}} what */
  async show(what) {
    this.#under?.abort();
    this.#under = new AbortController();
    const { signal } = this.#under;
    const picked = walk(what.layers, FRAMES);
    const frames = picked.map((layer) => frame(layer, what.query.layer));
    const note = h("p.note", { role: "status" });
    fill(this, h("h2", {}, t("film.title")), h("ol.frames", { tabIndex: 0 }, frames), note);
    try {
      for (let at = 0; at < picked.length; at += TOGETHER) {
        await this.#some(picked.slice(at, at + TOGETHER), frames.slice(at, at + TOGETHER), what, signal);
      }
      note.textContent = t("film.done", { count: picked.length });
    } catch (error) {
      if (!isAborted(error)) note.textContent = error.message;
    }
  }

  async #some(layers, frames, { model, picture, other, explainer, query, view }, signal) {
    const call = explainCall({ model, picture, other }, { ...query, layer: layers.map(({ path }) => path).join(",") });
    const { answer, placement } = await explain(model, call, { signal, explainer });
    for (const [index, layer] of layers.entries()) {
      const found = answer.explanations.find((one) => one.layer === layer.path);
      if (found === undefined) continue;
      const canvas = await heatThumbnail(picture, found, { view, signed: explainer.signed, placement, label: layer.path });
      if (signal.aborted) return;
      fill(frames[index].querySelector(".hole"), canvas);
    }
  }
}

function frame(layer, chosen) {
  const choose = () => change({ layer: layer.path });
  return h("li", {}, h("button.frame", { type: "button", "aria-pressed": String(layer.path === chosen), on: { click: choose } },
    h("span.hole"), h("span.path", {}, layer.path), h("span.shape", {}, sides(layer))));
}

customElements.define("film-strip", FilmStrip);
