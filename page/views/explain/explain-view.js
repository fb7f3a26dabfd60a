/** `<explain-view>`: where the model looked. */

import { fill, h } from "../../dom.js";
import { milliseconds, t, tOr } from "../../language/index.js";
import { targetName } from "../../drawing/target-name.js";
import { choice, tick } from "../../parts/controls.js";
import { emptyPlace } from "../../parts/empty-place.js";
import { keepFocus } from "../../parts/keep-focus.js";
import { chosenModel } from "../../parts/model-picker.js";
import { ask } from "../../server/calls.js";
import { SLOW, explain, explainCall, passes } from "../../server/explanations.js";
import { explainers, layers } from "../../server/models.js";
import { isAborted } from "../../server/problem.js";
import { change, read } from "../../state/address.js";
import { find, isLost } from "../../state/desk.js";
import { SAMPLES } from "../../state/samples.js";
import { TASKS } from "../try/tasks.js";
import { viewOf } from "./heat-view.js";
import { MapDesk } from "./map-desk.js";
import { forgotten, given, parameterFields } from "./parameters.js";
import { TARGETS } from "./targets.js";
import "../../parts/layer-tree.js";
import "../../parts/picture-input.js";
import "../../parts/problem-box.js";
import "../../parts/recipe-panel.js";
import "../../parts/run-bar.js";
import "../../parts/save-menu.js";
import "./film-strip.js";

class ExplainView extends HTMLElement {
  #input = h("picture-input", { takesPaste: true });
  #other = h("picture-input");
  #otherField = h("div.field", {}, h("h2", {}, t("explain.reference")), this.#other);
  #place = h("div.stage-place");
  #models = h("model-picker");
  #controls = h("div.controls");
  #problem = h("problem-box");
  #run = h("run-bar");
  #facts = h("div.result");
  #save = h("save-menu");
  #recipe = h("recipe-panel");
  #film = h("div.film-place");
  #desk = new MapDesk(this.#place);
  #under = null;

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.append(h("div.workbench", {},
      h("section.work", { "aria-label": t("try.picture") }, this.#input, this.#place, this.#otherField, this.#film),
      h("section.panel", { "aria-label": t("explain.question") },
        this.#models, this.#controls, this.#run, this.#problem, this.#facts, this.#save, this.#recipe)));
    this.#input.addEventListener("picture", (event) => change({ picture: event.detail, target: null }));
    this.#other.addEventListener("picture", (event) => change({ other: event.detail }));
    this.#models.addEventListener("model", (event) => change({ ...event.detail, target: null, layer: null, map: null }));
    this.#controls.addEventListener("layer", (event) => change({ layer: event.detail }));
    this.#place.addEventListener("dragover", (event) => event.preventDefault());
    this.#place.addEventListener("drop", (event) => this.#input.dropOf(event));
    this.#place.addEventListener("target", (event) => change({ target: event.detail }));
  }

  disconnectedCallback() {
    this.#under?.abort();
  }

  /** @param {Object<string, string>} params of the address */
  async show(params) {
    this.#under?.abort();
    this.#under = new AbortController();
    const { signal } = this.#under;
    const model = chosenModel(params.model, SAMPLES.find((one) => one.id === params.picture)?.tasks);
    const targets = TARGETS[model?.task];
    this.#models.show(model);
    this.#input.show(params.picture, params.model === undefined ? null : model);
    this.#other.show(params.other, model);
    this.#otherField.hidden = targets?.needsOther !== true;
    this.#problem.problem = null;
    try {
      const [picture, other] = await Promise.all([find(params.picture), find(targets?.needsOther ? params.other : undefined)]);
      if (signal.aborted) return;
      if (model === null) this.#nothing(h("p.note", {}, t("try.noModel")));
      else if (targets === undefined) this.#nothing(h("p.note", {}, t("explain.noTask", { task: model.task })));
      else if (picture === null) this.#empty(params, model);
      else await this.#explain({ model, picture, other, params, signal, targets });
    } catch (error) {
      // What a newer question ended must not end the newer one's progress.
      if (isAborted(error)) return;
      this.#rest(null);
      this.#problem.problem = error;
    }
  }

  async #explain(context) {
    const { model, picture, other, params, signal, targets } = context;
    this.#desk.start(context);
    const predicted = TASKS[model.task].call({ ...context, params: {} });
    const [known, tree, answer] = await Promise.all([explainers(model.name), layers(model.name).catch(() => ({ layers: [] })), ask(predicted, signal)]);
    if (signal.aborted) return undefined;
    const explainer = known.find(({ method }) => method === params.method) ?? known[0];
    const prediction = answer.predictions[0];
    const target = params.target ?? targets.fallback?.(context);
    const hasLayer = explainer.parameters.some(({ name }) => name === "layer");
    const layer = hasLayer ? params.layer : undefined;
    const asked = { ...context, explainer, prediction, target, layer, choose: (value) => change({ target: value, run: null }) };
    this.#build(asked, known, hasLayer ? tree : null);
    await this.#desk.predicted(asked);
    const query = { method: explainer.method, target, layer, ...given(explainer, params), evidence: params.evidence === "1" ? "true" : null };
    const call = explainCall({ model, picture, other }, query);
    this.#recipe.calls = [call];
    if (targets.needsOther && other === null && !/^\d+$/.test(target ?? "")) return this.#rest(t("explain.chooseReference"));
    if (passes(explainer) > SLOW && params.run !== "1") return this.#ready(explainer);
    return this.#ask(asked, call, tree);
  }

  /** The controls, made anew: they depend on model, method and answer. */
  #build(asked, known, tree) {
    const { explainer, params, targets } = asked;
    const refocus = keepFocus(this.#controls);
    const group = (label, some) => ({ group: label, options: some.map((one) => [one.method, tOr(`method.${one.method}`, one.method)]) });
    const slow = known.filter((one) => passes(one) > SLOW);
    const methods = [group(t("explain.quick"), known.filter((one) => !slow.includes(one))), group(t("explain.slow"), slow)].filter(({ options }) => options.length > 0);
    const tree_ = tree === null ? null : h("layer-tree");
    fill(this.#controls,
      choice(t("explain.method"), methods, explainer.method, (value) => change({ ...forgotten(params), method: value, run: null })),
      h("p.note", {}, tOr(`about.${explainer.method}`, "")),
      targets.control(asked), tree_, parameterFields(explainer, params),
      tick(t("evidence.ask"), params.evidence === "1", (checked) => change({ evidence: checked ? 1 : null })), h("p.note", {}, t("evidence.cost")));
    tree_?.show(tree.layers, asked.layer ?? explainer.parameters.find(({ name }) => name === "layer").default ?? "");
    refocus();
  }

  /** A slow method waits until it is asked for. */
  #ready(explainer) {
    this.#rest(null);
    fill(this.#facts, h("p.note", {}, t("explain.passes", { count: passes(explainer) })),
      h("button.primary", { type: "button", on: { click: () => change({ run: 1 }) } }, t("explain.run")));
  }

  async #ask(asked, call, tree) {
    const { model, params, signal, explainer } = asked;
    this.#facts.classList.add("busy");
    this.#run.start(() => this.#cancel());
    const { answer, placement } = await explain(model, call, { signal, explainer, progress: (done, planned) => this.#run.progress(done, planned) });
    this.#run.stop();
    this.#facts.classList.remove("busy");
    if (signal.aborted) return;
    const facts = await this.#desk.show({ ...asked, answer, placement });
    if (signal.aborted) return;
    fill(this.#facts, facts, h("p.note.timing", {}, t("try.timing", { total: milliseconds(answer.timing_ms.total) })));
    this.#save.result = this.#result(asked, call, answer);
    this.#offerFilm(asked, tree);
    if (params.film === "1") this.#showFilm(asked, tree);
  }

  #cancel() {
    this.#under?.abort();
    this.#run.stop();
    this.#facts.classList.remove("busy");
    fill(this.#facts, h("p.note", { role: "status" }, t("run.cancelled")), h("button", { type: "button", on: { click: () => this.show(read().params) } }, t("explain.run")));
  }

  #result({ model, picture, explainer }, call, answer) {
    return {
      name: `${picture.name.replace(/\.\w+$/, "")}-${model.name}-${explainer.method}`,
      title: `${model.name}, ${tOr(`method.${explainer.method}`, explainer.method)}: ${picture.name}`,
      answer, calls: [call],
      lines: () => answer.explanations.map((one) => [one.method, one.layer, targetName(one.target)].filter(Boolean).join(" · ")),
      picture: () => this.#desk.composed(),
    };
  }

  #offerFilm(asked, tree) {
    const hasLayer = asked.explainer.parameters.some(({ name }) => name === "layer");
    const offer = h("button", { type: "button", on: { click: () => change({ film: 1 }) } }, t("film.offer"));
    fill(this.#film, hasLayer && tree.layers.length > 1 && passes(asked.explainer) <= SLOW ? offer : null);
  }

  #showFilm({ model, picture, other, explainer, params, target, layer }, tree) {
    if (this.#film.childElementCount === 0) return;
    const strip = h("film-strip");
    fill(this.#film, strip);
    const query = { method: explainer.method, target, layer, ...given(explainer, params) };
    strip.show({ model, picture, other, explainer, query, layers: tree.layers, view: viewOf(params) });
  }

  #rest(text) {
    this.#run.stop();
    this.#facts.classList.remove("busy");
    fill(this.#facts, text === null ? null : h("p.note", {}, text));
    fill(this.#film);
    this.#save.result = null;
  }

  #empty(params, model) {
    const lead = isLost(params.picture) ? t("picture.lost") : t("explain.empty");
    this.#nothing(emptyPlace(lead, params.model === undefined ? null : model, (picture) => change({ picture })));
  }

  #nothing(...said) {
    this.#rest(null);
    fill(this.#controls);
    fill(this.#place, said);
    this.#recipe.calls = [];
  }
}

customElements.define("explain-view", ExplainView);
