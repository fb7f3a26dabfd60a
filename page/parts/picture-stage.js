/**
 * `<picture-stage>`: a picture with what is drawn on it, to zoom, to move, to read values from and to point at.
 *
 * Three sheets lie on each other: the picture at its own size, a tint (heat or masks), and marks (boxes, points) that
 * stay crisp on small pictures. The picture is an image and no canvas, because the browser decodes and scales a phone's
 * photo beside the page's own work. Canvases say nothing to a screen reader: `drawn` lists in words what they show.
 */

import { fill, h, icon } from "../dom.js";
import { t } from "../language/index.js";
import { PanZoom } from "./pan-zoom.js";

/** Marks are drawn on so many pixels a side, at least and at most. */
const MARKS_SIDES = [1100, 2200];
/** Below this many pixels a side, pixels are shown as squares. */
const SQUARES = 64;

const PLUS = "M9 4h2v5h5v2h-5v5H9v-5H4V9h5z";
const MINUS = "M4 9h12v2H4z";
const FIT = "M3 3h5v2H5v3H3zM12 3h5v5h-2V5h-3zM3 12h2v3h3v2H3zM15 12h2v5h-5v-2h3z";

export class PictureStage extends HTMLElement {
  /** What stands in the readout for a point of the picture. @type {((x: number, y: number) => string)|null} */
  valueAt = null;

  #size = { width: 1, height: 1 };
  #marks = null;
  #tint = null;
  #bitmap = null;
  #base = h("img.base", { alt: "", draggable: false, decoding: "async" });
  #tinted = h("canvas.tint");
  #marked = h("canvas.marks");
  #sheet = h("div.sheet", { "aria-hidden": "true" }, this.#base, this.#tinted, this.#marked);
  #frame = h("div.frame", { tabIndex: 0, role: "group" }, this.#sheet);
  #readout = h("span.readout");
  #list = h("ul");
  #said = h("details.drawn", {}, h("summary", {}, t("stage.drawn")), this.#list);
  #view = new PanZoom(this.#frame, this.#sheet);

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.#frame.setAttribute("aria-label", this.label ?? t("stage.label"));
    const tool = (label, d, act) => h("button.quiet.square", { type: "button", title: label, "aria-label": label, on: { click: act } }, icon(d));
    this.append(
      this.#frame,
      h("div.stage-bar", {}, this.#readout, h("span.grow"),
        tool(t("stage.out"), MINUS, () => this.#view.zoom(1 / 1.5)),
        tool(t("stage.in"), PLUS, () => this.#view.zoom(1.5)),
        tool(t("stage.fit"), FIT, () => this.#view.reset())),
      this.#said,
    );
    this.#said.hidden = this.#list.childElementCount === 0;
    this.#frame.addEventListener("pointermove", (event) => this.#read(event));
    this.#frame.addEventListener("pointerleave", () => this.#rest());
    this.#view.onTap = (x, y) => this.#point("pick", { x: x * this.#size.width, y: y * this.#size.height });
    this.#view.onBox = (box) => this.#point("pickbox", { box: this.#scaled(box) });
    this.#rest();
  }

  /** Whether dragging draws a box, which `pickbox` tells of, instead of moving the picture. */
  set drawsBoxes(yes) {
    this.#view.drawsBoxes = yes;
  }

  disconnectedCallback() {
    URL.revokeObjectURL(this.#base.src);
  }

  /** @param {{bitmap: CanvasImageSource, blob: Blob, width: number, height: number}} picture what is shown */
  set picture({ bitmap, blob, width, height }) {
    this.#size = { width, height };
    this.#bitmap = bitmap;
    this.classList.toggle("squares", Math.max(width, height) <= SQUARES);
    URL.revokeObjectURL(this.#base.src);
    this.#base.src = URL.createObjectURL(blob);
    this.style.setProperty("--aspect", String(width / height));
    this.#view.aspect = width / height;
    this.#rest();
  }

  /** @param {ImageBitmap|null} image what lies on the picture; of any size, as it covers all of it */
  set tint(image) {
    this.#tint = image;
    [this.#tinted.width, this.#tinted.height] = [image?.width ?? 1, image?.height ?? 1];
    if (image !== null) this.#tinted.getContext("2d").drawImage(image, 0, 0);
  }

  /** @param {boolean} yes whether the picture loses its colours, so that those of the tint are seen */
  set isGray(yes) {
    this.#base.classList.toggle("gray", yes);
  }

  /** @param {number} part how much of the tint shows */
  set tintOpacity(part) {
    this.#tinted.style.opacity = String(part);
  }

  /** @param {((context: CanvasRenderingContext2D, scale: number) => void)|null} draw */
  set marks(draw) {
    this.#marks = draw;
    const side = Math.max(this.#size.width, this.#size.height);
    const scale = draw === null ? 0 : Math.max(MARKS_SIDES[0] / side, Math.min(1, MARKS_SIDES[1] / side));
    [this.#marked.width, this.#marked.height] = [
      Math.max(1, Math.round(this.#size.width * scale)), Math.max(1, Math.round(this.#size.height * scale)),
    ];
    draw?.(this.#marked.getContext("2d"), scale);
  }

  /** @param {string[]} lines in words, what is drawn */
  set drawn(lines) {
    fill(this.#list, lines.map((line) => h("li", {}, line)));
    this.#said.hidden = lines.length === 0;
  }

  /** What is shown, as one canvas of the picture's own size; `tint` may be a finer one than that on the screen. */
  composed(tint = this.#tint) {
    const canvas = h("canvas");
    [canvas.width, canvas.height] = [this.#size.width, this.#size.height];
    const context = canvas.getContext("2d");
    context.filter = this.#base.classList.contains("gray") ? "grayscale(1)" : "none";
    context.drawImage(this.#bitmap, 0, 0, canvas.width, canvas.height);
    context.filter = "none";
    context.globalAlpha = Number(this.#tinted.style.opacity || 1);
    if (tint !== null) context.drawImage(tint, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = 1;
    this.#marks?.(context, 1);
    return canvas;
  }

  #scaled([x0, y0, x1, y1]) {
    const { width, height } = this.#size;
    return [x0 * width, y0 * height, x1 * width, y1 * height];
  }

  #point(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #read(event) {
    const at = this.#view.at(event);
    if (at === null) return this.#rest();
    const [x, y] = [Math.floor(at.x * this.#size.width), Math.floor(at.y * this.#size.height)];
    const more = this.valueAt?.(x, y) ?? "";
    this.#readout.textContent = more === "" ? `${x}, ${y}` : `${x}, ${y} · ${more}`;
    return undefined;
  }

  #rest() {
    this.#readout.textContent = `${this.#size.width} × ${this.#size.height}`;
  }
}

customElements.define("picture-stage", PictureStage);
