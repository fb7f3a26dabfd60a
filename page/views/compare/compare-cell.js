/** `<compare-cell>`: one explanation of a comparison, and what there is to say of it. */

import { fill, h } from "../../dom.js";
import { milliseconds, number, t } from "../../language/index.js";
import { targetName } from "../../drawing/target-name.js";
import { heatThumbnail } from "../../drawing/thumbnail.js";
import { evidence } from "../../parts/evidence.js";
import { explain, explainCall } from "../../server/explanations.js";
import { explainers } from "../../server/models.js";
import { isAborted } from "../../server/problem.js";
import { href } from "../../state/address.js";
import "../../parts/problem-box.js";
import "../../parts/run-bar.js";

class CompareCell extends HTMLElement {
  /** @type {{model: any, picture: any, other?: any, method: string, target?: string, layer?: string, isJudged?: boolean}|null} */
  question = null;
  name = "";
  /** What was asked, once it is answered. @type {import("../../server/calls.js").Call|null} */
  call = null;
  /** The answer. */
  found = null;
  #draw = null;
  /** The answer in words. */
  said = "";

  connectedCallback() {
    if (this.childElementCount > 0) return;
    const { width, height } = this.question.picture;
    fill(this, h("div.hole", { style: { "aspect-ratio": `${width} / ${height}` } }), h("p.cell-name", {}, this.name));
  }

  /**
   * Asks its question, and shows the answer.
   *
   * @param {import("../../drawing/map.js").View} view
   * @param {AbortSignal} signal
   */
  async answer(view, signal) {
    if (signal.aborted) return;
    const run = h("run-bar");
    const own = new AbortController();
    const both = AbortSignal.any([signal, own.signal]);
    this.append(run);
    run.start(() => own.abort());
    try {
      await this.#ask(view, both, (done, planned) => run.progress(done, planned));
    } catch (error) {
      if (isAborted(error)) {
        if (!signal.aborted) this.append(h("p.note", { role: "status" }, t("run.cancelled")));
      } else {
        const box = h("problem-box");
        this.append(box);
        box.problem = error;
      }
    }
    run.remove();
  }

  /** Shows what speaks for its map, which was measured elsewhere. @param {{evidence?: any}} measured */
  judge(measured) {
    this.querySelector(".evidence")?.remove();
    const shown = evidence(measured);
    if (shown !== null && this.found !== null) this.append(shown);
  }

  /** Draws its map in another way, where it has one. @param {import("../../drawing/map.js").View} view */
  async repaint(view) {
    const canvas = await this.#draw?.(view);
    if (canvas !== undefined) this.querySelector("canvas").replaceWith(canvas);
  }

  async #ask(view, signal, progress) {
    const { model, picture, other, method, target, layer } = this.question;
    const known = await explainers(model.name);
    const explainer = known.find((one) => one.method === method) ?? known[0];
    const hasLayer = explainer.parameters.some(({ name }) => name === "layer");
    const query = { method: explainer.method, target, layer: hasLayer ? layer : undefined, evidence: this.question.isJudged ? "true" : undefined };
    const call = explainCall({ model, picture, other }, query);
    const { answer, placement } = await explain(model, call, { signal, explainer, progress });
    const [one] = answer.explanations;
    const label = t("explain.of", { name: this.name });
    this.#draw = (seen) => heatThumbnail(picture, one, { view: seen, signed: explainer.signed, placement, label });
    const canvas = await this.#draw(view);
    if (signal.aborted) return;
    [this.call, this.found, this.said] = [call, answer, `${this.name}: ${targetName(one.target)}`];
    const more = href("explain", { model: model.name, picture: picture.id, other: other?.id, ...query });
    fill(this,
      h("a.hole", { href: more }, canvas),
      h("p.cell-name", {}, this.name),
      h("p.note", {}, targetName(one.target)),
      h("p.note.small", {}, [one.layer, `${one.map.shape.slice(-2).reverse().join(" × ")}`, `${number(one.map.min)} … ${number(one.map.max)}`, milliseconds(answer.timing_ms.total)].filter(Boolean).join(" · ")),
      one.caution ? h("p.caution.small", {}, one.caution) : null,
      evidence(one));
  }
}

customElements.define("compare-cell", CompareCell);
