/** `<problem-box>`: an error as the server said it. */

import { fill, h } from "../dom.js";
import { t } from "../language/index.js";
import { askForKey } from "../server/key.js";
import { refreshModels } from "../server/models.js";
import { Problem, Unreachable } from "../server/problem.js";
import { tell } from "../state/address.js";

export class ProblemBox extends HTMLElement {
  connectedCallback() {
    this.setAttribute("role", "alert");
    if (this.childElementCount === 0) this.hidden = true;
  }

  /** @param {unknown} error null when all is well */
  set problem(error) {
    this.hidden = error === null;
    if (error === null) fill(this);
    else if (error instanceof Problem) this.#said(error);
    else if (error instanceof Unreachable) fill(this, h("p", {}, t("server.away")));
    else fill(this, h("p", {}, t("problem.page")), h("p.detail", {}, String(error)));
  }

  #said({ message, code, status, requestId }) {
    const give = async () => {
      if (!(await askForKey({ again: true }))) return;
      await refreshModels();
      tell();
    };
    const id = requestId === null ? [] : [h("dt", {}, t("problem.request")), h("dd", {}, h("code", {}, requestId))];
    fill(
      this,
      h("p.detail", {}, message),
      h("dl", {}, h("dt", {}, t("problem.code")), h("dd", {}, h("code", {}, code), ` (${status})`), ...id),
      status === 401 ? h("div", {}, h("button", { type: "button", on: { click: give } }, t("key.give"))) : null,
    );
  }
}

customElements.define("problem-box", ProblemBox);
