/** `<compare-view>`: several explanations beside each other. */

import { fill, h } from "../../dom.js";
import { t, tOr } from "../../language/index.js";
import { choice, tick } from "../../parts/controls.js";
import { emptyPlace } from "../../parts/empty-place.js";
import { keepFocus } from "../../parts/keep-focus.js";
import { chosenModel } from "../../parts/model-picker.js";
import { ask } from "../../server/calls.js";
import { COMPARED, SLOW, compareMethods, passes } from "../../server/explanations.js";
import { explainers, layers } from "../../server/models.js";
import { isAborted } from "../../server/problem.js";
import { change, read } from "../../state/address.js";
import { find, isLost } from "../../state/desk.js";
import { SAMPLES } from "../../state/samples.js";
import { TARGETS } from "../explain/targets.js";
import { viewControls, viewOf } from "../explain/heat-view.js";
import { TASKS } from "../try/tasks.js";
import { AXES, shared } from "./axes.js";
import { contactSheet } from "./contact-sheet.js";
import { ranking } from "./ranking.js";
import "./compare-cell.js";
import "../../parts/picture-input.js";
import "../../parts/problem-box.js";
import "../../parts/recipe-panel.js";
import "../../parts/save-menu.js";

/** Between values in the address: targets have commas of their own. */
const BETWEEN = "~";

class CompareView extends HTMLElement {
  #input = h("picture-input", { takesPaste: true });
  #other = h("picture-input");
  #otherField = h("div.field", {}, h("h2", {}, t("compare.other")), this.#other);
  #models = h("model-picker");
  #controls = h("div.controls");
  #items = h("div.items");
  #problem = h("problem-box");
  #view = h("div");
  #grid = h("div.grid");
  #ranking = h("div", { "aria-live": "polite" });
  #save = h("save-menu");
  #recipe = h("recipe-panel");
  #under = null;
  #wanted = null;
  #isPainting = false;

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.append(h("div.workbench.wide", {},
      h("section.panel", { "aria-label": t("compare.question") }, this.#input, this.#otherField, this.#models, this.#controls, this.#items, this.#view),
      h("section.work", { "aria-label": t("compare.answers") }, this.#problem, this.#grid, this.#ranking, this.#save, this.#recipe)));
    this.#input.addEventListener("picture", (event) => change({ picture: event.detail, target: null, items: null }));
    this.#other.addEventListener("picture", (event) => change({ other: event.detail, items: null }));
    this.#models.addEventListener("model", (event) => change({ ...event.detail, target: null, layer: null, items: null }));
  }

  disconnectedCallback() {
    this.#under?.abort();
  }

  /** @param {Object<string, string>} params of the address */
  async show(params) {
    this.#under?.abort();
    this.#under = new AbortController();
    const { signal } = this.#under;
    const by = params.by in AXES ? params.by : "methods";
    const model = chosenModel(params.model, SAMPLES.find((one) => one.id === params.picture)?.tasks);
    this.#models.show(model);
    this.#input.show(params.picture, params.model === undefined ? null : model);
    this.#other.show(params.other, model);
    this.#otherField.hidden = by !== "pictures" && model?.task !== "embedding";
    this.#problem.problem = null;
    try {
      const [picture, other] = await Promise.all([find(params.picture), find(params.other)]);
      if (signal.aborted) return;
      if (model === null || TARGETS[model.task] === undefined) this.#nothing(h("p.note", {}, t("try.noModel")));
      else if (picture === null) this.#empty(params, model);
      else await this.#compare({ model, picture, other, params, by, signal });
    } catch (error) {
      if (!isAborted(error)) this.#problem.problem = error;
    }
  }

  async #compare(given) {
    const { model, picture, other, params, by, signal } = given;
    const call = TASKS[model.task].call({ ...given, params: {} });
    const [known, tree, answer] = await Promise.all([explainers(model.name), layers(model.name).catch(() => ({ layers: [] })), ask(call, signal)]);
    if (signal.aborted) return;
    const prediction = answer.predictions[0];
    const explainer = known.find(({ method }) => method === params.method) ?? known[0];
    const target = params.target ?? (by === "pictures" ? shared(model, prediction) : TARGETS[model.task].fallback?.(given));
    const base = { model, picture, other, method: explainer.method, target, layer: params.layer };
    const context = { ...given, prediction, explainers: known, explainer, layers: tree.layers, base };
    const refocus = keepFocus(this);
    context.isJudged = params.evidence === "1";
    this.#build(context, known);
    const values = this.#chosen(context);
    this.#tick(context, values);
    const view = viewOf(params);
    const shown = { alpha: view.alpha ?? 0.5, gray: view.gray ?? false };
    fill(this.#view, h("div.heat-controls", {}, viewControls(params, shown, (next) => this.#repaint(next))));
    refocus();
    await this.#fill(context, values);
  }

  /** Draws the maps that are there in another way; a slider asks for this faster than it can be done. */
  async #repaint(view) {
    this.#wanted = view;
    if (this.#isPainting) return;
    this.#isPainting = true;
    while (this.#wanted !== null) {
      const now = this.#wanted;
      this.#wanted = null;
      await Promise.all([...this.#grid.querySelectorAll("compare-cell")].map((cell) => cell.repaint(now)));
    }
    this.#isPainting = false;
  }

  #chosen(context) {
    const axis = AXES[context.by];
    const known = axis.options(context).map(([value]) => value);
    const asked = context.params.items?.split(BETWEEN).filter((value) => known.includes(value));
    return asked ?? axis.first(context);
  }

  #build({ by, explainer, isJudged }, known) {
    const axes = Object.keys(AXES).map((name) => [name, t(`compare.${name}`)]);
    const methods = known.map(({ method }) => [method, tOr(`method.${method}`, method)]);
    fill(this.#controls,
      choice(t("compare.by"), axes, by, (value) => change({ by: value === "methods" ? null : value, items: null })),
      by === "methods" ? null : choice(t("explain.method"), methods, explainer.method, (value) => change({ method: value })),
      tick(t("evidence.ask"), isJudged, (checked) => change({ evidence: checked ? 1 : null })),
      h("p.note", {}, t(by === "methods" ? "ranking.cost" : "evidence.cost")));
  }

  #tick(context, values) {
    const { by } = context;
    const options = AXES[by].options(context);
    const toggle = (value, isOn) => {
      const next = options.map(([one]) => one).filter((one) => (one === value ? isOn : values.includes(one)));
      change({ items: next.join(BETWEEN) || null });
    };
    const boxes = options.map(([value, name]) => {
      const input = h("input", { type: "checkbox", checked: values.includes(value), on: { change: (event) => toggle(value, event.target.checked) } });
      return h("label.tick", {}, input, h("span", {}, name));
    });
    fill(this.#items, by === "pictures" ? null : h("fieldset", {}, h("legend", {}, t(`compare.${by}`)), h("div.ticks", {}, boxes)));
  }

  /** One cell after the other: they share the server's one thread for explanations anyway. */
  async #fill(context, values) {
    if (context.by === "pictures" && context.other === null) return this.#note(t("compare.chooseOther"));
    if (values.length === 0) return this.#note(t("compare.nothing"));
    const names = new Map(AXES[context.by].options(context));
    const cells = values.map((value) => {
      const cell = h("compare-cell");
      // Methods are judged together, once their maps are there.
      cell.question = { ...AXES[context.by].cell(context, value), isJudged: context.isJudged && context.by !== "methods" };
      cell.name = names.get(value) ?? value;
      return cell;
    });
    fill(this.#grid, cells);
    this.#clear();
    for (const cell of cells) {
      await cell.answer(viewOf(read().params), context.signal);
      if (context.signal.aborted) return undefined;
      this.#recipe.calls = cells.map(({ call }) => call).filter(Boolean);
    }
    this.#keep(cells.filter(({ call }) => call !== null), context);
    if (context.by === "methods" && context.isJudged) await this.#judge(cells, context);
    return undefined;
  }

  /** Asks what speaks for each map, which of them says most, and whether they say the same. */
  async #judge(cells, { base, model, picture, other, explainers: known, signal }) {
    const methods = cells.map(({ question }) => question.method);
    const [least, most] = COMPARED;
    if (methods.length < least || methods.length > most) {
      fill(this.#ranking, h("p.note", {}, t("ranking.count", { least, most })));
      return;
    }
    const isSlow = known.some((one) => methods.includes(one.method) && passes(one) > SLOW);
    const query = { methods: methods.join(","), target: base.target, weights: isSlow ? undefined : "true" };
    const own = new AbortController();
    const run = h("run-bar");
    fill(this.#ranking, run);
    run.start(() => own.abort());
    try {
      const both = AbortSignal.any([signal, own.signal]);
      const { call, answer } = await compareMethods({ model, picture, other }, query, { signal: both, progress: (done, planned) => run.progress(done, planned) });
      if (signal.aborted) return;
      for (const one of answer.methods) cells.find(({ question }) => question.method === one.method)?.judge(one);
      fill(this.#ranking, ranking(answer));
      this.#recipe.calls = [...cells.map((cell) => cell.call), call].filter(Boolean);
    } catch (error) {
      if (signal.aborted) return;
      if (isAborted(error)) return fill(this.#ranking, h("p.note", { role: "status" }, t("run.cancelled")));
      const box = h("problem-box");
      fill(this.#ranking, box);
      box.problem = error;
    }
  }

  #keep(cells, { model, picture, by }) {
    this.#save.result = cells.length === 0 ? null : {
      name: `${picture.name.replace(/\.\w+$/, "")}-${model.name}-${by}`,
      title: `${t(`compare.${by}`)}: ${picture.name}`,
      answer: cells.map((cell) => cell.found),
      calls: cells.map(({ call }) => call),
      lines: () => cells.map(({ said }) => said),
      picture: async () => contactSheet(cells.map((cell) => ({ canvas: cell.querySelector("canvas"), name: cell.name }))),
    };
  }

  #clear() {
    this.#save.result = null;
    this.#recipe.calls = [];
    fill(this.#ranking);
  }

  #note(text) {
    this.#clear();
    fill(this.#grid, h("p.note", {}, text));
  }

  #empty(params, model) {
    const lead = isLost(params.picture) ? t("picture.lost") : t("explain.empty");
    this.#nothing(emptyPlace(lead, params.model === undefined ? null : model, (id) => change({ picture: id })));
  }

  #nothing(...said) {
    fill(this.#controls);
    fill(this.#items);
    fill(this.#view);
    this.#clear();
    fill(this.#grid, said);
  }
}

customElements.define("compare-view", CompareView);
