/** `<recipe-panel>`: the curl lines and the Python lines that give what is on the screen. */

import { fill, h } from "../dom.js";
import { t } from "../language/index.js";
import { curl, python } from "./recipe.js";

export class RecipePanel extends HTMLElement {
  #language = "curl";
  #calls = [];
  #code = h("pre", { tabIndex: 0 });

  connectedCallback() {
    if (this.childElementCount > 0) return;
    const tabs = ["curl", "python"].map((name) =>
      h("button.tab", { type: "button", "aria-pressed": String(name === this.#language), on: { click: () => this.#choose(name, tabs) } },
        name === "curl" ? "curl" : "Python"));
    const copy = h("button.quiet", { type: "button", on: { click: () => this.#copy(copy) } }, t("recipe.copy"));
    this.hidden = this.#calls.length === 0;
    this.append(h("h2", {}, t("recipe.title")), h("div.tabs", {}, tabs, h("span.grow"), copy), this.#code);
    this.#write();
  }

  /** @param {import("./recipe.js").Asked[]} calls none: there is nothing to show */
  set calls(calls) {
    this.#calls = calls;
    this.hidden = calls.length === 0;
    this.#write();
  }

  #choose(name, tabs) {
    this.#language = name;
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.textContent.toLowerCase() === name));
    this.#write();
  }

  #write() {
    this.#code.setAttribute("aria-label", this.#language === "curl" ? "curl" : "Python");
    fill(this.#code, h("code", {}, this.#language === "curl" ? curl(this.#calls) : python(this.#calls)));
  }

  async #copy(button) {
    await navigator.clipboard.writeText(this.#code.textContent);
    button.textContent = t("recipe.copied");
    setTimeout(() => {
      button.textContent = t("recipe.copy");
    }, 1500);
  }
}

customElements.define("recipe-panel", RecipePanel);
