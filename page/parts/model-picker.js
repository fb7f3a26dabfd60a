/** `<model-picker>`: the models, by task. Tells of the choice by `model`, whose detail changes the address. */

import { fill, h } from "../dom.js";
import { t, tOr } from "../language/index.js";
import { model, models } from "../server/models.js";
import { read } from "../state/address.js";
import { suited } from "../state/samples.js";

const FIRST = ["classification", "detection", "segmentation", "captioning", "vae", "embedding", "regression", "image_to_image", "tensor"];

let count = 0;

export class ModelPicker extends HTMLElement {
  #select = h("select", { on: { change: () => this.#tell() } });
  #about = h("p.note");

  connectedCallback() {
    if (this.childElementCount > 0) return;
    count += 1;
    this.#select.id = `model-${count}`;
    this.append(h("label", { for: this.#select.id }, t("model.label")), this.#select, this.#about);
  }

  /** @param {import("../server/models.js").Model|null} chosen */
  show(chosen) {
    const listed = models() ?? [];
    const groups = FIRST.map((task) => [task, listed.filter((one) => one.task === task)]).filter(([, some]) => some.length > 0);
    const waiting = listed.filter((one) => one.task === undefined);
    fill(this.#select,
      groups.map(([task, some]) => h("optgroup", { label: tOr(`task.${task}`, task) }, some.map((one) => h("option", { value: one.name }, one.name)))),
      waiting.map((one) => h("option", { value: one.name, disabled: true }, `${one.name} (${tOr(`state.${one.state}`, one.state)})`)));
    this.#select.value = chosen?.name ?? "";
    this.#about.textContent = chosen?.description ?? "";
  }

  #tell() {
    const { picture, other } = read().params;
    const chosen = model(this.#select.value);
    const detail = { model: chosen.name, picture: suited(picture, chosen), other: suited(other, chosen) };
    this.dispatchEvent(new CustomEvent("model", { detail, bubbles: true }));
  }
}

/**
 * The model that is meant where none is named: one that fits the picture, else a classifier, else any.
 *
 * @param {string|undefined} name
 * @param {string[]} [tasks] of the picture, the best first
 */
export function chosenModel(name, tasks = []) {
  const ready = (models() ?? []).filter((one) => one.state === "ready");
  if (name !== undefined) return ready.find((one) => one.name === name) ?? null;
  for (const task of [...tasks, ...FIRST]) {
    const fits = ready.filter((one) => one.task === task);
    if (fits.length > 0) return fits[0];
  }
  return null;
}

customElements.define("model-picker", ModelPicker);
