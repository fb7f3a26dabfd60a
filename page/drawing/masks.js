/** COCO's run-length masks in colours. Runs in the worker. */

/**
 * The lengths of the runs, zeros first, down the columns. The text is pycocotools' compression: 5 bits a character,
 * from the third run on the difference to the one before the last.
 *
 * @param {string} counts
 * @returns {number[]}
 */
export function runs(counts) {
  const lengths = [];
  let at = 0;
  while (at < counts.length) {
    let [value, shift, more] = [0, 0, true];
    while (more) {
      const code = counts.charCodeAt(at) - 48;
      value |= (code & 31) << shift;
      more = (code & 32) !== 0;
      at += 1;
      shift += 5;
      if (!more && (code & 16) !== 0) value |= -1 << shift;
    }
    if (lengths.length > 2) value += lengths[lengths.length - 2];
    lengths.push(value);
  }
  return lengths;
}

/**
 * @param {object} order
 * @param {{counts: string, colour: number[], opacity: number}[]} order.masks of the whole picture, the first below
 * @param {number} order.width
 * @param {number} order.height
 * @param {boolean} order.blended whether overlapping masks are mixed; else the later one covers
 * @returns {{image: ImageData, ids: Uint8Array}} and for each pixel which mask it is of, from 1; 0: none
 */
export function masks({ masks: given, width, height, blended }) {
  const image = new ImageData(width, height);
  const pixels = image.data;
  const ids = new Uint8Array(width * height);
  const counts = new Uint8Array(blended ? width * height : 0);
  given.forEach(({ counts: text, colour, opacity }, index) => {
    const alpha = Math.round(255 * opacity);
    ones(runs(text), height, width, (pixel) => {
      ids[pixel] = index + 1;
      const part = blended ? 1 / (counts[pixel] += 1) : 1;
      for (let channel = 0; channel < 3; channel += 1) {
        const at = 4 * pixel + channel;
        pixels[at] = Math.round(pixels[at] * (1 - part) + colour[channel] * part);
      }
      pixels[4 * pixel + 3] = alpha;
    });
  });
  return { image, ids };
}

function ones(lengths, height, width, each) {
  let at = 0;
  lengths.forEach((length, index) => {
    if (index % 2 === 1) {
      for (let place = at; place < at + length; place += 1) each((place % height) * width + Math.floor(place / height));
    }
    at += length;
  });
}
