/** What the page says, in the language of the reader. One module a language; both have the same keys. */

import english from "./en.js";
import french from "./fr.js";

const PLACE = "lucarne.language";
const LANGUAGES = { en: english, fr: french };

let chosen = started();

function started() {
  const kept = localStorage.getItem(PLACE);
  if (kept !== null && kept in LANGUAGES) return kept;
  return navigator.language.toLowerCase().startsWith("fr") ? "fr" : "en";
}

/** @returns {string} `en` or `fr` */
export const language = () => chosen;

/** @param {string} name */
export function setLanguage(name) {
  chosen = name;
  localStorage.setItem(PLACE, name);
  document.documentElement.lang = name;
}

/**
 * A text, with `{name}` replaced by what `values` has for it.
 *
 * @param {string} key
 * @param {Object<string, string|number>} [values]
 */
export function t(key, values = {}) {
  const text = LANGUAGES[chosen][key];
  if (text === undefined) throw new Error(`no text for ${key} in ${chosen}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** A text where there is one; else what stands in for it. For names that the server may add to. */
export const tOr = (key, fallback) => LANGUAGES[chosen][key] ?? fallback;

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** A number as it is written here; small ones as `5.2 × 10⁻⁹`, which is easier to read than many zeros. */
export function number(value, digits = 3) {
  const format = new Intl.NumberFormat(chosen, { maximumSignificantDigits: digits });
  const power = Math.floor(Math.log10(Math.abs(value)));
  if (value === 0 || power > -4 || !Number.isFinite(power)) return format.format(value);
  const raised = [...String(-power)].map((digit) => RAISED[Number(digit)]).join("");
  return `${format.format(value / 10 ** power)} × 10⁻${raised}`;
}

/** A part of a whole, 0 to 1. What would be rounded to nothing is said to be less than the last digit. */
export function percent(part, digits = 1) {
  const format = new Intl.NumberFormat(chosen, { style: "percent", maximumFractionDigits: digits, minimumFractionDigits: digits });
  const least = 10 ** -(digits + 2);
  return part > 0 && part < least / 2 ? `< ${format.format(least)}` : format.format(part);
}

/** Milliseconds. */
export const milliseconds = (value) => `${number(value, value < 100 ? 2 : 4)} ms`;
