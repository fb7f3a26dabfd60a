/** Zooming and moving a sheet within a frame, by pointer, wheel and keys. Points are parts of the sheet, 0 to 1. */

const MOST = 40;
/** A press that moves less than this is a tap. */
const TAP_PX = 5;

export class PanZoom {
  /** @type {((x: number, y: number) => void)|null} */
  onTap = null;
  /** @type {((box: number[]) => void)|null} */
  onBox = null;
  drawsBoxes = false;

  #frame;
  #sheet;
  #scale = 1;
  #x = 0;
  #y = 0;
  #press = null;
  #rubber = document.createElement("div");
  /** @type {Map<number, PointerEvent>} */
  #pointers = new Map();

  /**
   * @param {HTMLElement} frame what is seen through
   * @param {HTMLElement} sheet what moves
   */
  constructor(frame, sheet) {
    this.#frame = frame;
    this.#sheet = sheet;
    this.#rubber.className = "rubber";
    this.#rubber.hidden = true;
    frame.append(this.#rubber);
    frame.addEventListener("pointerdown", (event) => this.#down(event));
    frame.addEventListener("pointermove", (event) => this.#move(event));
    frame.addEventListener("pointerup", (event) => this.#up(event));
    frame.addEventListener("pointercancel", (event) => this.#pointers.delete(event.pointerId));
    frame.addEventListener("dblclick", (event) => this.zoom(2, event));
    frame.addEventListener("keydown", (event) => this.#key(event));
    // A wheel alone scrolls the page; with Ctrl, which is also what pinching on a touchpad sends, it zooms.
    frame.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 200), event);
    }, { passive: false });
  }

  set aspect(_) {
    this.reset();
  }

  /** Shows all of it. */
  reset() {
    [this.#scale, this.#x, this.#y] = [1, 0, 0];
    this.#apply();
  }

  /**
   * @param {number} by
   * @param {{clientX: number, clientY: number}} [around] what stays where it is; else the middle
   */
  zoom(by, around) {
    const box = this.#frame.getBoundingClientRect();
    const [x, y] = around === undefined
      ? [0, 0]
      : [around.clientX - box.left - box.width / 2, around.clientY - box.top - box.height / 2];
    const scale = Math.min(MOST, Math.max(1, this.#scale * by));
    const ratio = scale / this.#scale;
    [this.#x, this.#y] = [x - (x - this.#x) * ratio, y - (y - this.#y) * ratio];
    this.#scale = scale;
    this.#apply();
  }

  /** Where on the sheet a pointer is; null outside. */
  at({ clientX, clientY }) {
    const box = this.#sheet.getBoundingClientRect();
    const [x, y] = [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
    return x < 0 || y < 0 || x >= 1 || y >= 1 ? null : { x, y };
  }

  #apply() {
    const box = this.#frame.getBoundingClientRect();
    const limit = (at, length) => Math.max(-((this.#scale - 1) * length) / 2, Math.min(((this.#scale - 1) * length) / 2, at));
    [this.#x, this.#y] = [limit(this.#x, box.width), limit(this.#y, box.height)];
    this.#sheet.style.transform = `translate(${this.#x}px, ${this.#y}px) scale(${this.#scale})`;
    this.#frame.classList.toggle("zoomed", this.#scale > 1);
  }

  #down(event) {
    if (event.button !== 0) return;
    this.#pointers.set(event.pointerId, event);
    this.#press = { x: event.clientX, y: event.clientY, moved: false, start: event };
    if (this.#scale > 1 || this.drawsBoxes) this.#frame.setPointerCapture(event.pointerId);
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (before === undefined || this.#press === null) return;
    this.#pointers.set(event.pointerId, event);
    if (this.#pointers.size === 2) return this.#pinch(before, event);
    const far = Math.hypot(event.clientX - this.#press.x, event.clientY - this.#press.y);
    if (far > TAP_PX) this.#press.moved = true;
    if (!this.#press.moved) return undefined;
    if (this.drawsBoxes) return this.#stretch(event);
    this.#x += event.clientX - before.clientX;
    this.#y += event.clientY - before.clientY;
    return this.#apply();
  }

  #pinch(before, event) {
    const [other] = [...this.#pointers.values()].filter((one) => one.pointerId !== event.pointerId);
    const distance = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    this.#press.moved = true;
    this.zoom(distance(event) / Math.max(1, distance(before)), other);
  }

  #stretch(event) {
    const box = this.#frame.getBoundingClientRect();
    const edges = (from, to, start) => [Math.min(from, to) - start, Math.abs(to - from)];
    const [left, width] = edges(this.#press.x, event.clientX, box.left);
    const [top, height] = edges(this.#press.y, event.clientY, box.top);
    for (const [key, value] of Object.entries({ left, top, width, height })) this.#rubber.style[key] = `${value}px`;
    this.#rubber.hidden = false;
  }

  #up(event) {
    this.#pointers.delete(event.pointerId);
    const press = this.#press;
    this.#press = null;
    this.#rubber.hidden = true;
    if (press === null) return;
    const [from, to] = [this.at(press.start), this.at(event)];
    if (!press.moved && to !== null) this.onTap?.(to.x, to.y);
    if (press.moved && this.drawsBoxes && from !== null && to !== null) {
      this.onBox?.([Math.min(from.x, to.x), Math.min(from.y, to.y), Math.max(from.x, to.x), Math.max(from.y, to.y)]);
    }
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.reset();
    else if (event.key in steps && this.#scale > 1) {
      this.#x += steps[event.key][0];
      this.#y += steps[event.key][1];
      this.#apply();
    } else return;
    event.preventDefault();
  }
}
