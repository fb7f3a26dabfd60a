/** What goes wrong: errors, a server that is gone, keys, strange names, large photos. */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PHOTO, assert, equal, sample, test, tinted } from "../harness.mjs";

test("trouble: an error is shown as the server said it", async ({ open, base, expectConsole }) => {
  expectConsole(/status of 404/);
  const page = await open("#explain?picture=cat&model=mobilenet_v2&layer=no.such.layer");
  const box = page.locator("problem-box:visible");
  await box.getByText("layer_not_found").waitFor();
  const answer = await fetch(`${base}/v1/models/mobilenet_v2/explain?layer=no.such.layer`, { method: "POST", body: await sample("cat.webp") });
  const { detail } = await answer.json();
  assert((await box.textContent()).includes(detail.slice(0, 40)), `${await box.textContent()} is not ${detail}`);
  assert(/[0-9a-f]{8}-/.test(await box.textContent()), "the request id stands there");
});

test("trouble: a server that is gone is told of, and the page recovers by itself", async ({ open, expectConsole }) => {
  expectConsole(/ERR_CONNECTION_REFUSED/);
  const page = await open("#try?picture=cat&model=mobilenet_v2");
  await page.locator(".ranked li").first().waitFor();
  const gone = (route) => route.abort("connectionrefused");
  await page.route("**/v1/**", gone);
  await page.getByLabel("Model").selectOption("nanodet");
  await page.locator(".banner").getByText("does not answer").waitFor();
  await page.unroute("**/v1/**", gone);
  await page.locator(".banner").waitFor({ state: "hidden" });
  await page.locator(".objects li").first().waitFor();
  equal(await page.locator("problem-box:visible").count(), 0, "problems after it came back");
});

test("trouble: a page opened while the server is gone begins when it comes", async ({ open, expectConsole }) => {
  expectConsole(/ERR_CONNECTION_REFUSED/);
  const gone = (route) => route.abort("connectionrefused");
  const page = await open("#try?picture=cat", { before: (fresh) => fresh.route("**/v1/**", gone) });
  await page.locator(".banner").getByText("does not answer").waitFor();
  await page.unroute("**/v1/**", gone);
  await page.locator(".ranked li").first().waitFor();
});

test("trouble: a server that wants a key is given one, which stays in this tab", async ({ open, expectConsole }) => {
  expectConsole(/status of 401/);
  const refuse = (route) => {
    if (route.request().headers().authorization === "Bearer secret") return route.continue();
    const problem = { status: 401, code: "unauthorized", detail: "a key, please", title: "Unauthorized", request_id: "1" };
    return route.fulfill({ status: 401, contentType: "application/problem+json", body: JSON.stringify(problem) });
  };
  const page = await open("#try?picture=cat&model=mobilenet_v2", { before: (fresh) => fresh.route("**/v1/**", refuse) });
  await page.getByRole("textbox", { name: "Key" }).fill("secret");
  await page.getByRole("button", { name: "Use this key" }).click();
  await page.locator(".ranked li").first().waitFor();
  const kept = await page.evaluate(() => [JSON.stringify(sessionStorage), JSON.stringify(localStorage), document.cookie, location.href]);
  assert(kept[0].includes("secret") && !kept.slice(1).some((one) => one.includes("secret")), kept.join(" "));
  assert(!(await page.locator("recipe-panel").textContent()).includes("secret"), "the key is not shown");
});

test("trouble: who declines to give a key is not asked again, but may", async ({ open, expectConsole }) => {
  expectConsole(/status of 401/);
  const problem = { status: 401, code: "unauthorized", detail: "a key, please", title: "Unauthorized", request_id: "1" };
  const refuse = (route) => route.fulfill({ status: 401, contentType: "application/problem+json", body: JSON.stringify(problem) });
  const page = await open("#try", { before: (fresh) => fresh.route("**/v1/**", refuse) });
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await page.locator("problem-box:visible").getByText("a key, please").waitFor();
  await page.waitForTimeout(3000);
  equal(await page.getByRole("dialog").count(), 0, "dialogs after three seconds");
  await page.getByRole("button", { name: "Enter a key" }).click();
  await page.getByRole("textbox", { name: "Key" }).waitFor();
});

const STRANGE = `<img src=x onerror="window.broken=1">'";,.png`;

test("trouble: HTML in a file's name is text everywhere", async ({ open }) => {
  const page = await open("#try?model=mobilenet_v2");
  const buffer = await readFile(PHOTO);
  await page.setInputFiles("input[type=file] >> nth=0", { name: STRANGE, mimeType: "image/jpeg", buffer });
  await page.locator(".ranked li").first().waitFor();
  assert((await page.locator("recipe-panel").textContent()).includes("<img"), "the name is shown as it is");
  await page.getByRole("link", { name: "Explain", exact: true }).click();
  await tinted(page);
  await page.getByRole("link", { name: "Compare", exact: true }).click();
  await page.locator("compare-cell canvas").first().waitFor();
  const [broken, images] = await page.evaluate(() => [window.broken, document.querySelectorAll('img[src="x"]').length]);
  equal(broken, undefined, "scripts that ran");
  equal(images, 0, "elements made of the name");
});

test("trouble: HTML in labels and names of models is text", async ({ open }) => {
  const page = await open("#try?picture=cat&model=mobilenet_v2", {
    before: (fresh) => fresh.route("**/predict*", async (route) => {
      const answer = await route.fetch();
      const body = (await answer.text()).replaceAll("Egyptian cat", "<img src=x onerror=window.broken=1>");
      return route.fulfill({ response: answer, body });
    }),
  });
  await page.locator(".ranked").getByText("<img src=x").waitFor();
  equal(await page.evaluate(() => window.broken), undefined, "scripts that ran");
});

test("trouble: a photo of twelve megapixels makes no task longer than 100 ms", async ({ open }) => {
  // Test machines are shared: the best of three tries is the page's own.
  let best = Infinity;
  for (let tries = 0; tries < 3 && best >= 100; tries += 1) best = Math.min(best, await longestTask(open));
  assert(best < 100, `the longest task took ${best} ms`);
});

async function longestTask(open) {
  const page = await open("#try?model=mobilenet_v2");
  await page.locator(".card").first().waitFor();
  const photo = await page.evaluate(largePhoto);
  await page.evaluate(() => {
    window.longest = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration);
    }).observe({ type: "longtask" });
  });
  // From a file: Playwright would decode a buffer within the page.
  const folder = await mkdtemp(join(tmpdir(), "page-"));
  await writeFile(join(folder, "large.jpg"), photo, "base64");
  await page.setInputFiles("input[type=file] >> nth=0", join(folder, "large.jpg"));
  await page.locator(".ranked li").first().waitFor();
  await page.getByRole("link", { name: "Explain", exact: true }).click();
  await tinted(page);
  await page.locator("dl.facts").waitFor();
  await rm(folder, { recursive: true });
  return page.evaluate(() => window.longest);
}

/* Runs in the page: 4000 × 3000 pixels of noise on a slope, as a JPEG. */
async function largePhoto() {
  const canvas = new OffscreenCanvas(4000, 3000);
  const context = canvas.getContext("2d");
  const slope = context.createLinearGradient(0, 0, 4000, 3000);
  slope.addColorStop(0, "#234");
  slope.addColorStop(1, "#fc8");
  context.fillStyle = slope;
  context.fillRect(0, 0, 4000, 3000);
  for (let count = 0; count < 3000; count += 1) {
    context.fillStyle = `hsl(${(count * 37) % 360} 60% 50%)`;
    context.fillRect((count * 977) % 4000, (count * 613) % 3000, 40, 40);
  }
  const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/jpeg", quality: 0.8 })).arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
}
