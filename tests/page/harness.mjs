/** A tiny runner, and the browser that every case gets a fresh page of. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const cases = [];

/** @param {string} name @param {(context: Context) => Promise<void>} run */
export function test(name, run) {
  cases.push({ name, run });
}

export function assert(holds, message) {
  if (!holds) throw new Error(message);
}

export function equal(found, expected, what) {
  assert(found === expected, `${what}: ${JSON.stringify(found)} is not ${JSON.stringify(expected)}`);
}

/**
 * @typedef {object} Context
 * @property {string} base where the page is
 * @property {import("playwright-core").BrowserContext} browser
 * @property {(hash: string, how?: object) => Promise<import("playwright-core").Page>} open
 * @property {(message: RegExp) => void} expectConsole what the console may say: a request that is meant to fail is told there
 */

/** Runs every case whose name has `only` in it. @returns {Promise<number>} how many failed */
export async function runAll({ base, only, binary }) {
  const browser = await chromium.launch({ executablePath: binary });
  let failed = 0;
  for (const { name, run } of cases.filter((one) => one.name.includes(only))) {
    const started = performance.now();
    const problem = await one(browser, base, run);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${problem === null ? "ok  " : "FAIL"} ${name} (${seconds} s)`);
    if (problem !== null) {
      console.log(`     ${problem.replaceAll("\n", "\n     ")}`);
      failed += 1;
    }
  }
  await browser.close();
  return failed;
}

async function one(browser, base, run) {
  const strays = [];
  const allowed = [];
  const contexts = [];
  const open = async (hash, { width = 1280, scheme = "light", locale = "en-GB", before = async () => {}, page: given } = {}) => {
    const page = given ?? (await fresh(browser, { width, scheme, locale }, contexts, strays, base));
    await before(page);
    await page.goto(`${base}/${hash}`);
    return page;
  };
  try {
    await run({ base, open, browser, expectConsole: (message) => allowed.push(message) });
    const left = strays.filter((line) => !allowed.some((message) => message.test(line)));
    return left.length === 0 ? null : left.join("\n");
  } catch (error) {
    return [error.stack, ...strays].join("\n");
  } finally {
    for (const context of contexts) await context.close();
  }
}

async function fresh(browser, { width, scheme, locale }, contexts, strays, base) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme, locale, acceptDownloads: true });
  contexts.push(context);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("console", (message) => {
    // These tests read canvases again and again, which Chromium advises against.
    if (message.text().startsWith("Canvas2D: Multiple readback")) return;
    if (["error", "warning"].includes(message.type())) strays.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => strays.push(`page: ${error.stack}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (["http:", "https:", "ws:", "wss:"].includes(url.protocol) && url.origin !== base) strays.push(`left the machine: ${url}`);
  });
  return page;
}

/** The bytes of a sample picture. */
export const sample = (file) => readFile(join(ROOT, "page", "samples", file));

/** A photo of the tests. */
export const PHOTO = join(ROOT, "tests/golden/photos/coffee.jpg");

/** What the server draws itself. @returns {Promise<Buffer>} */
export async function drawn(base, path, file) {
  const answer = await fetch(`${base}/v1/models/${path}`, { method: "POST", body: await sample(file), headers: { accept: "image/png" } });
  assert(answer.ok, `${path}: ${answer.status} ${answer.ok ? "" : await answer.text()}`);
  return Buffer.from(await answer.arrayBuffer());
}

/** What the server says. */
export async function said(base, path, file) {
  const answer = await fetch(`${base}/v1/models/${path}`, { method: "POST", body: await sample(file) });
  assert(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

/** Presses the button that saves, and answers the file's bytes. */
export async function saved(page, button) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("save-menu").getByRole("button", { name: button }).click()]);
  return readFile(await download.path());
}

/**
 * How far two pictures are apart: the mean difference of a channel, and the part of pixels that differ by more than
 * `far` in any. Throws where their sizes differ.
 */
export async function difference(page, one, other, far = 10) {
  const found = await page.evaluate(compare, [one.toString("base64"), other.toString("base64"), far]);
  assert(found.sizes[0] === found.sizes[1], `the pictures have ${found.sizes.join(" and ")} pixels`);
  return found;
}

/* Runs in the page. */
async function compare([one, other, far]) {
  const pixels = async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes]));
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
    context.drawImage(image, 0, 0);
    return { size: `${image.width} × ${image.height}`, data: context.getImageData(0, 0, image.width, image.height).data };
  };
  const [a, b] = await Promise.all([pixels(one), pixels(other)]);
  let [sum, differ] = [0, 0];
  for (let at = 0; at < a.data.length; at += 4) {
    const apart = [0, 1, 2].map((channel) => Math.abs(a.data[at + channel] - b.data[at + channel]));
    sum += apart[0] + apart[1] + apart[2];
    if (Math.max(...apart) > far) differ += 1;
  }
  const count = a.data.length / 4;
  return { sizes: [a.size, b.size], mean: sum / (3 * count), differing: differ / count };
}

/**
 * Waits until `holds`, which runs in the page, answers true. Playwright's own way makes code of text there, which the
 * policy of the page forbids.
 */
export async function until(page, holds, argument) {
  const end = performance.now() + 30_000;
  while (!(await page.evaluate(holds, argument))) {
    if (performance.now() > end) throw new Error(`never came true: ${holds}`);
    await page.waitForTimeout(50);
  }
}

/** Waits until the picture on the stage has a tint that shows something. */
export async function tinted(page) {
  await until(page, () => {
    const canvas = document.querySelector("picture-stage:last-of-type canvas.tint");
    if (canvas === null || canvas.width < 2) return false;
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return data.some((value, index) => index % 4 === 3 && value > 0);
  });
}
