/** Keeps the focus where it is while controls are made anew: the keyboard must not begin at the top again. */

/**
 * Remembers which control of `container` has the focus.
 *
 * @param {HTMLElement} container
 * @returns {() => void} gives the focus to the control of the same name, if it was lost
 */
export function keepFocus(container) {
  const before = document.activeElement;
  if (before === null || !container.contains(before)) return () => {};
  const [kind, name] = [before.localName, nameOf(before)];
  return () => {
    if (document.activeElement !== document.body && document.activeElement?.isConnected) return;
    [...container.querySelectorAll(kind)].find((one) => nameOf(one) === name)?.focus();
  };
}

const nameOf = (control) => control.labels?.[0]?.textContent ?? control.getAttribute("aria-label") ?? control.textContent;
