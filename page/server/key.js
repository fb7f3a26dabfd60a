/**
 * The API key. It stays in this tab: `sessionStorage` ends with it, and nothing else keeps a copy.
 */

const PLACE = "lucarne.key";

let ask = async () => false;

/** @returns {string|null} */
export const key = () => sessionStorage.getItem(PLACE);

/** @param {string} value empty to forget it */
export function keepKey(value) {
  if (value === "") sessionStorage.removeItem(PLACE);
  else sessionStorage.setItem(PLACE, value);
}

/** Says how the user is asked; `asking` answers whether there is a key now. */
export function askWith(asking) {
  ask = asking;
}

let underWay = null;
let isDeclined = false;

/**
 * Asks for a key, once for all requests that were refused together. Who declined is not asked again by what the page does
 * of itself.
 *
 * @param {{again?: boolean}} [how] `again`: the user wants to be asked
 */
export function askForKey({ again = false } = {}) {
  if (isDeclined && !again) return Promise.resolve(false);
  underWay ??= ask().then((isGiven) => {
    isDeclined = !isGiven;
    underWay = null;
    return isGiven;
  });
  return underWay;
}
