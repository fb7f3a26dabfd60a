/**
 * The address bar holds the view: `#try?model=mobilenet_v2&picture=cat`. Views never keep what stands there
 * themselves; they change the address and are shown again.
 */

export const VIEWS = ["try", "explain", "compare", "status"];

const listeners = new Set();

/** @returns {{view: string, params: Object<string, string>}} what the address says now */
export function read() {
  const [view, query = ""] = location.hash.replace(/^#/, "").split("?");
  return { view: VIEWS.includes(view) ? view : "try", params: Object.fromEntries(new URLSearchParams(query)) };
}

/**
 * The address of a view. Empty values are left out.
 *
 * @param {string} view
 * @param {Object<string, string|number|boolean|null|undefined>} params
 */
export function href(view, params) {
  const kept = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const query = new URLSearchParams(kept.map(([key, value]) => [key, String(value)])).toString();
  return query === "" ? `#${view}` : `#${view}?${query}`;
}

/**
 * Changes some parameters of the present view, and shows it again.
 *
 * @param {Object<string, string|number|boolean|null|undefined>} changes
 * @param {{quietly?: boolean}} [how] `quietly`: without an entry in the history and without showing the view again,
 *   for sliders
 */
export function change(changes, { quietly = false } = {}) {
  const { view, params } = read();
  const next = href(view, { ...params, ...changes });
  if (next === location.hash) return;
  if (quietly) {
    history.replaceState(null, "", next);
  } else {
    history.pushState(null, "", next);
    tell();
  }
}

/** Calls `listener` whenever the address has changed, also through back and forward. */
export function onChange(listener) {
  listeners.add(listener);
}

/** Shows the view again, as when something that it lacked has come. */
export function tell() {
  for (const listener of listeners) listener();
}

// `popstate` comes for back and forward, and for links and typing as well.
addEventListener("popstate", tell);
