/** Orders for the painting worker. */

/** Heat has no more detail than this shows, and a phone's photo would take a second. */
const HEAT_SIDE = 1600;

let worker = null;
let count = 0;
/** @type {Map<number, {resolve: (answer: any) => void, reject: (error: Error) => void}>} */
const waiting = new Map();

function order(kind, what) {
  if (worker === null) {
    worker = new Worker(new URL("./painter.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }) => {
      const { resolve, reject } = waiting.get(data.id);
      waiting.delete(data.id);
      if (data.error === undefined) resolve(data);
      else reject(new Error(data.error));
    });
  }
  count += 1;
  return new Promise((resolve, reject) => {
    waiting.set(count, { resolve, reject });
    worker.postMessage({ id: count, kind, order: what });
  });
}

/**
 * A map in colours. `full` paints every pixel of the picture, else a large picture gets as many as a screen shows.
 *
 * @param {import("./map.js").FlatMap} map
 * @param {import("../server/placement.js").Placement} placement
 * @param {{colours: string|null, alpha: number, full?: boolean}} view
 * @returns {Promise<ImageBitmap>}
 */
export async function paintHeat(map, placement, { colours, alpha, full = false }) {
  const [width, height] = [placement.x.original, placement.y.original];
  const part = full ? 1 : Math.min(1, HEAT_SIDE / Math.max(width, height));
  const size = { width: Math.max(1, Math.round(width * part)), height: Math.max(1, Math.round(height * part)) };
  return (await order("heat", { map, placement, colours, alpha, ...size })).image;
}

/**
 * Masks in colours, at the picture's own size.
 *
 * @param {{counts: string, colour: number[], opacity: number}[]} masks
 * @param {number} width
 * @param {number} height
 * @param {boolean} blended
 * @returns {Promise<{image: ImageBitmap, ids: Uint8Array}>}
 */
export const paintMasks = (masks, width, height, blended) => order("masks", { masks, width, height, blended });
