/** The stage of an explanation: the picture under its map, what can be pointed at, and the other maps of the answer. */

import { fill, h } from "../../dom.js";
import { number, t } from "../../language/index.js";
import { drawBox, drawObjects, drawPoint, drawSeen } from "../../drawing/marks.js";
import { flat, resolved, valueAt } from "../../drawing/map.js";
import { paintHeat, paintMasks } from "../../drawing/paint.js";
import { targetName } from "../../drawing/target-name.js";
import { heatThumbnail } from "../../drawing/thumbnail.js";
import { tick } from "../../parts/controls.js";
import { keepFocus } from "../../parts/keep-focus.js";
import { evidence } from "../../parts/evidence.js";
import { change } from "../../state/address.js";
import { scaleOf, viewControls, viewOf } from "./heat-view.js";
import { boxOf, pointOf } from "./targets.js";
import "../../parts/picture-stage.js";

export class MapDesk {
  #place;
  #stage = null;
  #plain = null;
  /** A large picture is not decoded twice before it is asked for beside its map. */
  #isPlainFilled = false;
  #under = h("div.under-stage");
  #shown = null;
  #painting = 0;
  #ids = null;

  /** @param {HTMLElement} place where it is; `target` is told there */
  constructor(place) {
    this.#place = place;
  }

  /** Puts the picture on the stage. */
  start({ picture, params }) {
    const isBeside = params.beside === "1";
    if (this.#stage?.dataset.picture !== picture.id || !this.#place.contains(this.#stage)) {
      this.#stage = this.#made(picture, t("stage.named", { name: picture.name }));
      this.#plain = this.#made(picture, t("stage.plain"));
      fill(this.#place, h("div.stages", {}, this.#plain, this.#stage), this.#under);
      this.#stage.picture = picture;
      this.#isPlainFilled = false;
      fill(this.#under);
    }
    if (isBeside && !this.#isPlainFilled) {
      this.#plain.picture = picture;
      this.#isPlainFilled = true;
    }
    this.#plain.hidden = !isBeside;
  }

  #made(picture, label) {
    const stage = h("picture-stage", { label });
    stage.dataset.picture = picture.id;
    return stage;
  }

  /** What the prediction says can be pointed at. */
  async predicted({ prediction, targets, target, picture, signal, ...rest }) {
    const stage = this.#stage;
    const context = { prediction, targets, target, picture, signal, ...rest, idAt: (x, y) => this.#idAt(x, y, picture) };
    this.#ids = prediction.mask ? (await paintMasks(prediction.mask.rle.map(({ counts }) => ({ counts, colour: [0, 0, 0], opacity: 0 })), picture.width, picture.height, false)).ids : null;
    if (signal.aborted) return;
    this.#mark(context, null);
    stage.tint = null;
    stage.isGray = false;
    stage.valueAt = null;
    this.#listen(stage, targets, context);
  }

  #listen(stage, targets, context) {
    const tell = (target) => {
      if (target !== null) this.#place.dispatchEvent(new CustomEvent("target", { detail: target }));
    };
    stage.classList.toggle("pointing", targets.tap !== undefined);
    // The listeners of an earlier prediction must not answer as well.
    stage.taps?.abort();
    stage.taps = new AbortController();
    const { signal } = stage.taps;
    if (targets.tap) stage.addEventListener("pick", ({ detail }) => tell(targets.tap(context, Math.floor(detail.x), Math.floor(detail.y))), { signal });
    if (targets.box) stage.addEventListener("pickbox", ({ detail }) => tell(targets.box(context, detail.box)), { signal });
    stage.drawsBoxes = targets.box !== undefined;
  }

  #idAt(x, y, picture) {
    const id = this.#ids?.[y * picture.width + x] ?? 0;
    return id === 0 ? null : id - 1;
  }

  #mark({ prediction, target }, placement, object = null) {
    const [point, box] = [pointOf(target), boxOf(target)];
    this.#stage.marks = (context, scale) => {
      if (prediction.objects) drawObjects(context, prediction.objects, { scale, chosen: object, labels: object === null });
      if (placement !== null) drawSeen(context, placement, scale);
      if (point !== null) drawPoint(context, point[0], point[1], scale);
      if (box !== null) drawBox(context, box, scale);
    };
  }

  /**
   * Shows the map that the address names, of all that the answer has.
   *
   * @returns {Promise<HTMLElement[]>} what there is to say of it
   */
  async show({ answer, explainer, placement, params, picture, prediction, target, signal }) {
    const all = answer.explanations;
    const index = Math.min(all.length - 1, Number(params.map ?? 0));
    const one = all[index];
    const map = flat(one.map, explainer.signed);
    this.#shown = { map, placement, view: resolved(viewOf(params), map) };
    this.#mark({ prediction, target }, placement, one.target.object ?? null);
    await this.#paint();
    this.#stage.valueAt = (x, y) => {
      const value = valueAt(map, placement, x, y);
      return value === null ? t("heat.unseen") : number(value, 4);
    };
    this.#stage.drawn = [this.#line(one, map)];
    const scale = h("div");
    const rescale = () => fill(scale, scaleOf(map, this.#shown.view.colours));
    rescale();
    const moved = (view) => {
      this.#shown.view = resolved(view, map);
      rescale();
      this.#paint();
    };
    const beside = tick(t("heat.beside"), params.beside === "1", (checked) => change({ beside: checked ? 1 : null }));
    const controls = h("div.heat-controls", {}, viewControls(params, this.#shown.view, moved), beside);
    const strip = all.length > 1 ? h("div.maps", { role: "group", "aria-label": t("explain.maps") }) : null;
    const refocus = keepFocus(this.#under);
    fill(this.#under, scale, controls, strip);
    refocus();
    if (strip !== null) await this.#others(strip, all, index, { explainer, placement, params, picture, signal });
    return this.#facts(one, map);
  }

  async #others(strip, all, chosen, { explainer, placement, params, picture, signal }) {
    for (const [index, one] of all.entries()) {
      const canvas = await heatThumbnail(picture, one, { view: viewOf(params), signed: explainer.signed, placement, label: "" });
      if (signal.aborted) return;
      canvas.setAttribute("aria-hidden", "true");
      strip.append(h("button.frame", { type: "button", "aria-pressed": String(index === chosen), on: { click: () => change({ map: index === 0 ? null : index }) } },
        canvas, h("span.path", {}, targetName(one.target))));
    }
  }

  async #paint() {
    this.#painting += 1;
    const mine = this.#painting;
    const { map, placement, view } = this.#shown;
    const image = await paintHeat(map, placement, view);
    if (mine !== this.#painting) return;
    this.#stage.isGray = view.gray;
    this.#stage.tint = image;
  }

  #line(one, map) {
    return t("explain.line", { target: targetName(one.target), place: hottest(map) });
  }

  #facts(one, map) {
    const rows = [
      ["layer.label", one.layer],
      ["explain.cells", `${map.columns} × ${map.rows}`],
      ["explain.range", `${number(map.min)} … ${number(map.max)}`],
      ["explain.made", one.passes ? `${one.passes.done} / ${one.passes.planned}` : null],
      ["explain.completeness", one.completeness ? t("explain.adds", { error: number(one.completeness.error) }) : null],
    ].filter(([, value]) => value);
    return [
      h("h2", {}, targetName(one.target)),
      h("p.visually-hidden", { role: "status" }, this.#line(one, map)),
      one.degenerate ? h("p.caution", {}, t("explain.degenerate"), " ", one.degenerate_reason ?? "") : null,
      h("dl.facts", {}, rows.map(([key, value]) => h("div", {}, h("dt", {}, t(key)), h("dd", {}, value)))),
      evidence(one),
      one.stopped_early ? h("p.caution", {}, t("explain.early")) : null,
      one.caution ? h("p.caution", {}, one.caution) : null,
    ];
  }

  /** The picture under the map, every pixel of it. */
  async composed() {
    const { map, placement, view } = this.#shown;
    return this.#stage.composed(await paintHeat(map, placement, { ...view, full: true }));
  }
}

/** In which ninth of the picture the largest value lies, in words. */
function hottest({ values, rows, columns }) {
  let best = 0;
  values.forEach((value, index) => {
    if (value > values[best] || Number.isNaN(values[best])) best = index;
  });
  const third = (at, length) => Math.min(2, Math.floor((3 * at) / length));
  return t(`place.${third(Math.floor(best / columns), rows)}${third(best % columns, columns)}`);
}
