/**
 * `<layer-tree>`: the layers of a model as its modules nest, each with the shape of its output. Tells of the choice by
 * `layer`, whose detail is the path.
 */

import { fill, h } from "../dom.js";
import { t } from "../language/index.js";

export class LayerTree extends HTMLElement {
  /**
   * @param {{path: string, kind: string, shape: number[], layout: string}[]} layers
   * @param {string} chosen
   */
  show(layers, chosen) {
    const tree = nested(layers);
    const current = layers.find((one) => one.path === chosen);
    const summary = h("summary", {}, h("span.label", {}, t("layer.label")), h("span.path", {}, chosen || t("layer.several")), h("span.shape", {}, current ? sides(current) : ""));
    const isOpen = this.querySelector("details.tree")?.open ?? false;
    const list = h("ul.branches", {}, [...tree.children.values()].map((one) => this.#branch(one, chosen)));
    fill(this, h("details.tree", { open: isOpen }, summary, h("div.scroller", { tabIndex: 0, role: "region", "aria-label": t("layer.label") }, list)));
  }

  #branch({ name, layer, children, path }, chosen) {
    const inside = [...children.values()];
    const own = layer === null ? h("span.path", {}, name) : this.#leaf(name, layer, chosen);
    if (inside.length === 0) return h("li", {}, own);
    const list = h("ul", {}, inside.map((one) => this.#branch(one, chosen)));
    const isOpen = chosen.startsWith(`${path}.`) || inside.length === 1;
    // A button within a summary would be two controls in one: the layer itself stands beside it.
    const toggle = h("button.twist", { type: "button", "aria-expanded": String(isOpen), "aria-label": t("layer.inside", { name: path }) });
    list.hidden = !isOpen;
    toggle.addEventListener("click", () => {
      list.hidden = !list.hidden;
      toggle.setAttribute("aria-expanded", String(!list.hidden));
    });
    return h("li", {}, toggle, own, list);
  }

  #leaf(name, layer, chosen) {
    const choose = () => this.dispatchEvent(new CustomEvent("layer", { detail: layer.path, bubbles: true }));
    return h("button.leaf", { type: "button", title: layer.path, "aria-pressed": String(layer.path === chosen), on: { click: choose } },
      h("span.path", {}, name), h("span.kind", {}, layer.kind), h("span.shape", {}, sides(layer)));
  }
}

/** `channels × rows × columns`, without the batch. */
export const sides = ({ shape }) => shape.slice(1).join(" × ");

function nested(layers) {
  const root = { name: "", path: "", layer: null, children: new Map() };
  for (const layer of layers) {
    let at = root;
    for (const part of layer.path.split(".")) {
      const path = at.path === "" ? part : `${at.path}.${part}`;
      if (!at.children.has(part)) at.children.set(part, { name: part, path, layer: null, children: new Map() });
      at = at.children.get(part);
    }
    at.layer = layer;
  }
  return root;
}

/**
 * A few layers from the first to the last, the outer modules before what is in them: for a walk through the model.
 *
 * @param {{path: string, shape: number[]}[]} layers
 * @param {number} count
 */
export function walk(layers, count) {
  const depth = (one) => one.path.split(".").length;
  for (let most = 1; most <= 6; most += 1) {
    const outer = layers.filter((one) => depth(one) <= most);
    if (outer.length >= Math.min(count, layers.length) || most === 6) {
      const step = Math.max(1, (outer.length - 1) / (count - 1));
      const picked = new Set(Array.from({ length: count }, (_, index) => outer[Math.min(outer.length - 1, Math.round(index * step))]));
      return [...picked];
    }
  }
  return layers;
}

customElements.define("layer-tree", LayerTree);
