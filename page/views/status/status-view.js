/** `<status-view>`: the models and what the server does, live. Polls while it is seen, and rests when the tab is hidden. */

import { fill, h } from "../../dom.js";
import { number, t } from "../../language/index.js";
import { models, refreshModels } from "../../server/models.js";
import { grown, parsed, quantile } from "../../server/metrics.js";
import { events } from "../../server/events.js";
import { Problem, Unreachable } from "../../server/problem.js";
import { send } from "../../server/request.js";
import { modelRow } from "./model-row.js";
import { sparkline } from "../../parts/sparkline.js";
import "../../parts/problem-box.js";
import "../../parts/recipe-panel.js";

const EVERY_MS = 2000;
/** Readings on the curve: four minutes. */
const KEPT = 120;
const PREDICT = { route: "/v1/models/{name}/predict" };

class StatusView extends HTMLElement {
  #tiles = h("div.tiles");
  #problem = h("problem-box");
  #refusal = h("problem-box");
  #table = h("tbody");
  #note = h("p.note");
  #recipe = h("recipe-panel");
  #timer = 0;
  #before = null;
  #now = null;
  #rates = [];
  #ready = null;
  /** What is done with a model that is loaded or unloaded, by its name. */
  #busy = new Map();
  #visible = () => this.#poll();

  connectedCallback() {
    if (this.childElementCount === 0) this.#build();
    document.addEventListener("visibilitychange", this.#visible);
    this.#poll();
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#visible);
  }

  show() {
    this.#draw();
  }

  #build() {
    const heads = ["model", "state", "device", "work", "queue", "batch", "latency"].map((name) => h("th", { scope: "col" }, t(`status.${name}`)));
    this.append(h("div.status", {}, this.#problem, this.#tiles,
      h("section", {}, h("h2", {}, t("status.models")), this.#refusal,
        h("table.models", {}, h("thead", {}, h("tr", {}, heads, h("td"))), this.#table), this.#note), this.#recipe));
    this.#recipe.calls = [{ get: "/v1/models", python: "models()" }, { get: "/readyz", python: "is_ready()" }, { get: "/metrics" }];
    this.#note.textContent = t("status.poll");
  }

  async #poll() {
    clearTimeout(this.#timer);
    if (document.hidden || !this.isConnected) return;
    try {
      const [ready, metrics] = await Promise.all([this.#readiness(), send("/metrics")]);
      const text = await metrics.text();
      this.#ready = ready;
      [this.#before, this.#now] = [this.#now, { at: performance.now(), reading: parsed(text) }];
      this.#problem.problem = null;
      this.#keepRate();
    } catch (error) {
      if (!(error instanceof Unreachable)) this.#problem.problem = error;
      this.#before = null;
    }
    if (models()?.some(({ state }) => state === "loading")) refreshModels();
    this.#draw();
    this.#timer = setTimeout(() => this.#poll(), EVERY_MS);
  }

  async #readiness() {
    try {
      return { ok: true, ...(await (await send("/readyz", { silently: true })).json()) };
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return { ok: false, detail: error.message };
    }
  }

  #keepRate() {
    const images = this.#rate("lucarne_images_computed_total", {});
    if (images !== null) this.#rates = [...this.#rates, images].slice(-KEPT);
  }

  /** How often a second, since the reading before; null without one. */
  #rate(name, wanted) {
    if (this.#before === null || this.#now === null) return null;
    const seconds = (this.#now.at - this.#before.at) / 1000;
    return grown(this.#before.reading, this.#now.reading, name, wanted) / seconds;
  }

  #draw() {
    if (this.#now !== null) this.#drawTiles();
    const listed = models() ?? [];
    const focused = this.#table.contains(document.activeElement) ? document.activeElement.id : "";
    const reading = { before: this.#before?.reading ?? null, now: this.#now?.reading ?? null };
    const rate = (name, wanted) => this.#rate(name, wanted);
    fill(this.#table, listed.map((one) => modelRow(one, { reading, rate, stage: this.#busy.get(one.name) ?? null, act: (method) => this.#act(one.name, method) })));
    if (focused !== "") document.getElementById(focused)?.focus();
  }

  #drawTiles() {
    const { reading } = this.#now;
    const shown = (value) => (value === null ? "–" : number(value, 3));
    const seconds = (part) => {
      const value = quantile(this.#before?.reading ?? null, reading, "lucarne_request_duration_seconds", PREDICT, part);
      return value === null ? "–" : `${number(value * 1000, 2)} ms`;
    };
    const failures = this.#rate("lucarne_failures_total", {});
    fill(this.#tiles,
      tile(t("status.server"), this.#ready?.ok ? t("status.ready") : t("status.notReady"), this.#ready?.ok ? t("status.version", { version: this.#ready.version ?? "" }) : this.#ready?.detail ?? ""),
      tile(t("status.images"), shown(this.#rate("lucarne_images_computed_total", {})), t("status.perSecond"), sparkline(this.#rates)),
      tile(t("status.requests"), shown(this.#rate("lucarne_requests_total", {})), t("status.perSecond")),
      tile(t("status.median"), seconds(0.5), t("status.p95", { value: seconds(0.95) })),
      tile(t("status.failures"), shown(failures), t("status.perSecond")));
  }

  #at(name, stage) {
    this.#busy.set(name, STAGES.includes(stage) ? stage : "working");
    this.#draw();
  }

  async #act(name, method) {
    this.#busy.set(name, "working");
    this.#refusal.problem = null;
    this.#draw();
    try {
      const response = await send(`/v1/models/${encodeURIComponent(name)}`, { method, headers: { accept: "text/event-stream" } });
      // Unloading is answered at once, and by nothing.
      if (method === "PUT") await events(response, (event, { stage }) => event === "progress" && this.#at(name, stage));
    } catch (error) {
      this.#refusal.problem = error;
    }
    this.#busy.delete(name);
    await refreshModels();
    this.#draw();
  }
}

/** Stages of loading as people read them; of one that came later than this page, nothing in particular. */
const STAGES = ["waiting", "trying", "loading"];

function tile(label, value, note, more = null) {
  return h("div.tile", {}, h("p.tile-label", {}, label), h("p.tile-value", {}, value), h("p.note", {}, note), more);
}

customElements.define("status-view", StatusView);
