/** `<save-menu>`: keeps a result as a PNG, as JSON, or as a report in one HTML file. */

import { h } from "../dom.js";
import { t } from "../language/index.js";
import { report } from "./report.js";

export class SaveMenu extends HTMLElement {
  /**
   * What can be saved.
   * @type {{name: string, title: string, answer: any, calls: import("./recipe.js").Asked[],
   *   picture: (() => Promise<HTMLCanvasElement>)|null, lines: () => string[]}|null}
   */
  #result = null;
  #png = h("button");

  connectedCallback() {
    if (this.childElementCount > 0) return;
    const button = (kind, label) => h("button.quiet", { type: "button", on: { click: () => this.#save(kind) } }, label);
    this.#png = button("png", "PNG");
    this.append(h("span.note", {}, t("save.title")), this.#png, button("json", "JSON"), button("html", t("save.report")));
    this.hidden = this.#result === null;
  }

  set result(result) {
    this.#result = result;
    this.hidden = result === null;
    this.#png.hidden = result?.picture === null;
  }

  async #save(kind) {
    const { name, answer } = this.#result;
    if (kind === "json") download(`${name}.json`, new Blob([JSON.stringify(answer, null, 2)], { type: "application/json" }));
    if (kind === "png") download(`${name}.png`, await png(await this.#result.picture()));
    if (kind === "html") {
      const image = await this.#result.picture?.();
      download(`${name}.html`, new Blob([report(this.#result, image?.toDataURL("image/png") ?? null)], { type: "text/html" }));
    }
  }
}

/** @param {HTMLCanvasElement} canvas @returns {Promise<Blob>} */
function png(canvas) {
  return new Promise((resolve) => {
    canvas.toBlob(resolve, "image/png");
  });
}

/** @param {string} name @param {Blob} blob */
export function download(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name.replace(/[^\w.-]+/g, "_") });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

customElements.define("save-menu", SaveMenu);
