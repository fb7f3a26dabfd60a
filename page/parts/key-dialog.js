/** `<key-dialog>`: asks for the API key that the server wants. */

import { h } from "../dom.js";
import { t } from "../language/index.js";
import { askWith, keepKey } from "../server/key.js";

class KeyDialog extends HTMLElement {
  connectedCallback() {
    if (this.childElementCount > 0) return;
    const field = h("input", { type: "password", id: "api-key", autocomplete: "off", required: true, spellcheck: false });
    const dialog = h("dialog", { "aria-labelledby": "key-title" },
      h("form", { method: "dialog" },
        h("h2", { id: "key-title" }, t("key.title")),
        h("p", {}, t("key.why")),
        h("label", { for: "api-key" }, t("key.label")), field,
        h("div.actions", {},
          h("button.quiet", { type: "button", on: { click: () => dialog.close("") } }, t("key.cancel")),
          h("button.primary", { value: "ok" }, t("key.ok")))));
    this.append(dialog);
    askWith(() => asked(dialog, field));
  }
}

/** @returns {Promise<boolean>} whether a key was given */
function asked(dialog, field) {
  return new Promise((resolve) => {
    field.value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "ok" && field.value !== "";
      if (given) keepKey(field.value);
      field.value = "";
      resolve(given);
    }, { once: true });
    dialog.showModal();
  });
}

customElements.define("key-dialog", KeyDialog);
