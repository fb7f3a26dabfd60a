/** `<run-bar>`: how far something long is, for how long it has run, and a button that ends it. */

import { fill, h } from "../dom.js";
import { number, t } from "../language/index.js";

export class RunBar extends HTMLElement {
  #progress = h("progress", { "aria-label": t("run.progress") });
  #clock = h("span.note.clock");
  #timer = 0;
  #since = 0;
  #planned = 0;
  #done = 0;

  connectedCallback() {
    if (this.childElementCount === 0) this.hidden = true;
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
  }

  /** @param {() => void} cancel */
  start(cancel) {
    this.stop();
    [this.#since, this.#planned, this.#done] = [performance.now(), 0, 0];
    this.#progress.removeAttribute("value");
    fill(this, this.#progress, this.#clock, h("button.quiet", { type: "button", on: { click: cancel } }, t("run.cancel")));
    this.#timer = setInterval(() => this.#tick(), 100);
    this.#tick();
  }

  /** How many passes are made, of how many. */
  progress(done, planned) {
    [this.#done, this.#planned] = [done, planned];
    this.#progress.max = planned;
    this.#progress.value = done;
    this.#tick();
  }

  stop() {
    clearInterval(this.#timer);
    this.hidden = true;
  }

  #tick() {
    const seconds = (performance.now() - this.#since) / 1000;
    // What is quick should not flicker.
    this.hidden = seconds < 0.3;
    const passes = this.#planned > 0 ? ` · ${t("run.passes", { done: this.#done, planned: this.#planned })}` : "";
    this.#clock.textContent = `${number(seconds, seconds < 10 ? 2 : 3)} s${passes}`;
  }
}

customElements.define("run-bar", RunBar);
