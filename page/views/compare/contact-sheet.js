/** The maps of a comparison on one canvas, each with its name, to be saved. */

const SIDE = 320;
const GAP = 16;
const NAME = 28;

/** @param {{canvas: HTMLCanvasElement, name: string}[]} cells */
export function contactSheet(cells) {
  const columns = Math.ceil(Math.sqrt(cells.length));
  const height = Math.max(...cells.map(({ canvas }) => (canvas.height * SIDE) / canvas.width));
  const sheet = document.createElement("canvas");
  sheet.width = columns * (SIDE + GAP) + GAP;
  sheet.height = Math.ceil(cells.length / columns) * (height + NAME + GAP) + GAP;
  const context = sheet.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, sheet.width, sheet.height);
  context.fillStyle = "#1d2125";
  context.font = "600 15px system-ui, sans-serif";
  cells.forEach(({ canvas, name }, index) => {
    const left = GAP + (index % columns) * (SIDE + GAP);
    const top = GAP + Math.floor(index / columns) * (height + NAME + GAP);
    context.drawImage(canvas, left, top, SIDE, (canvas.height * SIDE) / canvas.width);
    context.fillText(name, left, top + height + 20, SIDE);
  });
  return sheet;
}
