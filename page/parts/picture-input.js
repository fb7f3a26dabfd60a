/**
 * `<picture-input>`: choose a picture by file, drop, paste or sample. Tells of it by `picture`, whose detail is the id
 * in the address.
 */

import { fill, h, icon } from "../dom.js";
import { t } from "../language/index.js";
import { UnreadablePicture, isLost, take } from "../state/desk.js";
import { isSample, samplesFor } from "../state/samples.js";

const UPLOAD = "M9 13V6.8L6.4 9.4 5 8l5-5 5 5-1.4 1.4L11 6.8V13zM4 15h12v2H4z";

export class PictureInput extends HTMLElement {
  /** What it is for, in words. */
  label = "";
  /** Whether pictures that are pasted anywhere are meant for this one. */
  takesPaste = false;

  #file = h("input", { type: "file", accept: "image/*", hidden: true });
  #note = h("p.note", { role: "status" });
  #samples = h("div.samples");
  #paste = (event) => this.#pasted(event);

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.#file.addEventListener("change", () => {
      this.#chosen(this.#file.files[0]);
      this.#file.value = "";
    });
    const choose = h("button", { type: "button", on: { click: () => this.#file.click() } }, icon(UPLOAD), t("picture.choose"));
    this.append(
      h("div.input-row", {}, choose, this.#file, h("span.note.wide-only", {}, t("picture.ways")), this.#samples),
      this.#note,
    );
    this.addEventListener("dragover", (event) => this.#drag(event, true));
    this.addEventListener("dragleave", (event) => this.#drag(event, false));
    this.addEventListener("drop", (event) => this.#dropped(event));
    if (this.takesPaste) addEventListener("paste", this.#paste);
  }

  disconnectedCallback() {
    removeEventListener("paste", this.#paste);
  }

  /**
   * @param {string|undefined} id of the picture that is shown
   * @param {import("../server/models.js").Model|null} model whose samples are offered
   */
  show(id, model) {
    const each = samplesFor(model).slice(0, 8);
    // Without a picture, the samples stand where it will be.
    this.#samples.hidden = this.takesPaste && (id === undefined || isLost(id));
    fill(this.#samples, each.map((sample) => this.#sample(sample, sample.id === id)));
    this.#samples.setAttribute("role", "group");
    this.#samples.setAttribute("aria-label", t("picture.samples"));
    if (isLost(id)) this.#note.textContent = t("picture.lost");
    else this.#note.textContent = id === undefined || isSample(id) ? "" : t("picture.stays");
  }

  /** Takes the files of a drop; also for a drop on something else that belongs to this. */
  dropOf(event) {
    this.#dropped(event);
  }

  #sample({ id, url }, chosen) {
    const name = t(`sample.${id}`);
    const pick = () => this.#tell(id);
    return h(
      "button.sample", { type: "button", title: name, "aria-label": name, "aria-pressed": String(chosen), on: { click: pick } },
      h("img", { src: url, alt: "", decoding: "async" }),
    );
  }

  #drag(event, over) {
    event.preventDefault();
    this.classList.toggle("over", over);
  }

  #dropped(event) {
    event.preventDefault();
    this.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file !== undefined) this.#chosen(file);
  }

  #pasted(event) {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (file !== undefined) this.#chosen(file);
  }

  async #chosen(file) {
    if (file === undefined) return;
    try {
      this.#tell((await take(file)).id);
    } catch (error) {
      if (!(error instanceof UnreadablePicture)) throw error;
      this.#note.textContent = t("picture.unreadable", { name: file.name });
    }
  }

  #tell(id) {
    this.dispatchEvent(new CustomEvent("picture", { detail: id, bubbles: true }));
  }
}

customElements.define("picture-input", PictureInput);
