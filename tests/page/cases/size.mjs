/** Small, quick, and nothing inline. */

import { readFile, readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { ROOT, assert, equal, test } from "../harness.mjs";

const PAGE = join(ROOT, "page");

async function files() {
  const entries = await readdir(PAGE, { recursive: true, withFileTypes: true });
  return Promise.all(entries.filter((entry) => entry.isFile()).map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    return { name: relative(PAGE, path), bytes: await readFile(path) };
  }));
}

test("size: all of it is less than 300 KB, gzipped", async () => {
  const total = (await files()).reduce((sum, { bytes }) => sum + gzipSync(bytes).length, 0);
  assert(total < 300_000, `${total} bytes`);
});

test("size: no file has 400 lines, and none makes HTML of text", async () => {
  for (const { name, bytes } of await files()) {
    if (!/\.(js|css|html)$/.test(name)) continue;
    const text = String(bytes);
    assert(text.split("\n").length < 400, `${name} is long`);
    assert(!/\.(innerHTML|outerHTML)|insertAdjacentHTML|document\.write|\beval\(|new Function/.test(text), `${name} makes HTML or code of text`);
    assert(!/https?:\/\/(?!www\.w3\.org\/2000\/svg)/.test(text.replace(/^\s*(\*|\/\/).*$/gm, "")), `${name} names another server`);
  }
});

test("size: the policy is strict, and the first paint comes within half a second", async ({ open, base }) => {
  const policy = (await fetch(`${base}/`)).headers.get("content-security-policy") ?? "";
  for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]) {
    assert(policy.includes(part), `the policy lacks ${part}: ${policy}`);
  }
  assert(!policy.includes("unsafe"), policy);
  const page = await open("#try");
  await page.locator(".card").first().waitFor();
  await page.reload();
  await page.locator(".card").first().waitFor();
  const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
  assert(paint < 500, `first paint after ${paint} ms`);
});

test("size: the address of the page has no other files", async ({ base }) => {
  const html = await (await fetch(`${base}/`)).text();
  const named = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url);
  const inWorker = ["main.js", "drawing/painter.js", "drawing/heat.js", "drawing/masks.js"];
  const modules = (await files()).map(({ name }) => name).filter((name) => name.endsWith(".js") && !inWorker.includes(name));
  equal(modules.filter((name) => !named.includes(`/page/${name}`)).join(), "", "modules that are not loaded ahead");
  for (const url of named) equal((await fetch(base + url)).status, 200, url);
});
