/** `<try-view>`: a picture, a model, and what the model says of it. */

import { fill, h } from "../../dom.js";
import { milliseconds, t } from "../../language/index.js";
import { emptyPlace } from "../../parts/empty-place.js";
import { keepFocus } from "../../parts/keep-focus.js";
import { chosenModel } from "../../parts/model-picker.js";
import { isAborted } from "../../server/problem.js";
import { ask } from "../../server/calls.js";
import { change } from "../../state/address.js";
import { find, isLost } from "../../state/desk.js";
import { SAMPLES } from "../../state/samples.js";
import { TASKS } from "./tasks.js";
import "../../parts/picture-input.js";
import "../../parts/picture-stage.js";
import "../../parts/problem-box.js";
import "../../parts/recipe-panel.js";
import "../../parts/save-menu.js";

class TryView extends HTMLElement {
  #input = h("picture-input", { takesPaste: true });
  #other = h("picture-input");
  #otherField = h("div.field", {}, h("h2", {}, t("try.other")), this.#other);
  #place = h("div.stage-place");
  #models = h("model-picker");
  #problem = h("problem-box");
  #result = h("div.result");
  #timing = h("p.note.timing");
  #announced = h("p.visually-hidden", { role: "status" });
  #save = h("save-menu");
  #recipe = h("recipe-panel");
  #under = null;

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.append(h("div.workbench", {},
      h("section.work", { "aria-label": t("try.picture") }, this.#input, this.#place, this.#otherField),
      h("section.panel", { "aria-label": t("try.answer") },
        this.#models, this.#problem, this.#result, this.#timing, this.#announced, this.#save, this.#recipe)));
    this.#input.addEventListener("picture", (event) => change({ picture: event.detail }));
    this.#other.addEventListener("picture", (event) => change({ other: event.detail }));
    this.#models.addEventListener("model", (event) => change(event.detail));
    this.#place.addEventListener("dragover", (event) => event.preventDefault());
    this.#place.addEventListener("drop", (event) => this.#input.dropOf(event));
  }

  disconnectedCallback() {
    this.#under?.abort();
  }

  /** @param {Object<string, string>} params of the address */
  async show(params) {
    this.#under?.abort();
    this.#under = new AbortController();
    const { signal } = this.#under;
    const sample = SAMPLES.find((one) => one.id === params.picture);
    const model = chosenModel(params.model, sample?.tasks);
    const task = TASKS[model?.task];
    this.#models.show(model);
    this.#input.show(params.picture, params.model === undefined ? null : model);
    this.#other.show(params.other, model);
    this.#otherField.hidden = task?.other === undefined;
    this.#input.hidden = task?.takesTensors === true;
    try {
      const [picture, other] = await Promise.all([find(params.picture), find(task?.other ? params.other : undefined)]);
      if (signal.aborted) return;
      const context = { model, picture, other, params, signal, panel: this.#result, place: this.#place };
      await this.#answer(task, context);
    } catch (error) {
      if (!isAborted(error)) this.#fail(error);
    }
  }

  async #answer(task, context) {
    this.#problem.problem = null;
    if (context.model === null) return this.#clear(h("p.note", {}, t("try.noModel")));
    if (task === undefined) return this.#clear(h("p.note", {}, t("try.noTask", { task: context.model.task })));
    if (task.takesTensors) return this.#tensors(task, context);
    if (context.picture === null) return this.#empty(context);
    const call = task.call(context);
    this.#recipe.calls = [call, ...(task.more?.(context) ?? [])];
    const stage = this.#stageOf(context.picture);
    this.#result.classList.add("busy");
    const answer = await ask(call, context.signal);
    this.#result.classList.remove("busy");
    const refocus = keepFocus(this.#result);
    const shown = await task.show({ ...context, stage, answer, prediction: answer.predictions?.[0] });
    refocus();
    if (context.signal.aborted) return undefined;
    return this.#finish(context, [call, ...(task.more?.(context) ?? [])], answer, shown, stage);
  }

  #finish({ model, picture }, calls, answer, { lines, tint }, stage) {
    stage.drawn = lines;
    this.#announced.textContent = lines.slice(0, 3).join("; ");
    const { decode, queue, compute, total } = answer.timing_ms;
    this.#timing.textContent = t("try.timing", { total: milliseconds(total) });
    this.#timing.title = t("try.stages", { decode: milliseconds(decode), queue: milliseconds(queue), compute: milliseconds(compute) });
    this.#save.result = {
      name: `${picture.name.replace(/\.\w+$/, "")}-${model.name}`,
      title: `${model.name}: ${picture.name}`,
      answer, calls, lines: () => lines,
      picture: async () => stage.composed((await tint?.()) ?? undefined),
    };
  }

  /** The stage, made anew for another picture so that its zoom ends with the picture. */
  #stageOf(picture) {
    let stage = this.#place.querySelector("picture-stage");
    if (stage === null || stage.dataset.picture !== picture.id) {
      stage = h("picture-stage", { label: t("stage.named", { name: picture.name }) });
      stage.dataset.picture = picture.id;
      fill(this.#place, stage);
      stage.picture = picture;
    }
    stage.tint = null;
    stage.tintOpacity = 1;
    stage.marks = null;
    stage.valueAt = null;
    stage.drawsBoxes = false;
    return stage;
  }

  #tensors(task, context) {
    this.#clear();
    const { name } = context.model;
    return task.form({
      ...context,
      done: (call, answer, lines) => {
        this.#problem.problem = null;
        this.#recipe.calls = [call];
        this.#save.result = { name, title: name, answer, calls: [call], lines: () => lines, picture: null };
      },
      fail: (error) => this.#fail(error),
    });
  }

  #empty({ params, model }) {
    const lead = isLost(params.picture) ? t("picture.lost") : t("try.empty");
    fill(this.#place, emptyPlace(lead, params.model === undefined ? null : model, (picture) => change({ picture })));
    this.#clear();
  }

  #clear(...more) {
    if (more.length > 0) fill(this.#place);
    fill(this.#result, more);
    this.#result.classList.remove("busy");
    this.#timing.textContent = "";
    this.#save.result = null;
    this.#recipe.calls = [];
  }

  #fail(error) {
    this.#clear();
    this.#problem.problem = error;
  }
}

customElements.define("try-view", TryView);
