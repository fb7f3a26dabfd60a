/** A report: one HTML file that needs nothing else, with the picture, what was found, and how to ask for it again. */

import { language, t } from "../language/index.js";
import { curl, python } from "./recipe.js";

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** This is the one place where HTML is made of text. */
const escaped = (text) => String(text).replace(/[&<>"']/g, (sign) => ENTITIES[sign]);

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#1c2024}
img{max-width:100%;min-width:16rem;border-radius:6px}pre{background:#f3f4f6;padding:1rem;overflow:auto;border-radius:6px;font-size:.85rem}
h1{font-size:1.4rem}h2{font-size:1.05rem;margin-top:2rem}summary{cursor:pointer}`;

/**
 * @param {{title: string, answer: any, calls: import("./recipe.js").Asked[], lines: () => string[]}} result
 * @param {string|null} image a data URL
 */
export function report({ title, answer, calls, lines }, image) {
  const list = lines().map((line) => `<li>${escaped(line)}</li>`).join("");
  const date = new Date().toISOString().slice(0, 16).replace("T", " ");
  return `<!doctype html>
<html lang="${language()}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title><style>${STYLE}</style>
<h1>${escaped(title)}</h1><p>${escaped(date)} UTC · Lucarne · ${escaped(location.origin)}</p>
${image === null ? "" : `<p><img alt="" src="${image}"></p>`}
<h2>${escaped(t("stage.drawn"))}</h2><ul>${list}</ul>
<h2>${escaped(t("recipe.title"))}</h2><pre>${escaped(curl(calls))}</pre><pre>${escaped(python(calls))}</pre>
<details><summary>JSON</summary><pre>${escaped(JSON.stringify(answer, null, 1))}</pre></details></html>
`;
}
