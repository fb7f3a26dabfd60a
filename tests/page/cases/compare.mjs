/** Compare: a grid of maps that differ, on each axis. */

import { assert, equal, saved, test } from "../harness.mjs";

const AXES = [
  ["methods", "model=gauge&picture=gauge&target=0", 4],
  ["targets", "model=captioner&picture=scene&method=attention", 4],
  ["layers", "model=unet&picture=clothes", 4],
  ["models", "model=mobilenet_v2&picture=astronaut", 4],
  ["pictures", "model=mobilenet_v2&picture=cat&other=coffee", 2],
];

for (const [by, query, count] of AXES) {
  test(`compare: ${by}`, async ({ open }) => {
    const page = await open(`#compare?by=${by}&${query}`);
    await page.locator("compare-cell canvas").nth(count - 1).waitFor();
    equal(await page.locator("compare-cell canvas").count(), count, "maps");
    equal(await page.locator("compare-cell problem-box:visible").count(), 0, "problems");
    const looks = await page.locator("compare-cell canvas").evaluateAll((all) => all.map((canvas) => canvas.toDataURL()));
    equal(new Set(looks).size, count, "maps that differ");
  });
}

test("compare: ticks are kept in the address", async ({ open }) => {
  const page = await open("#compare?model=gauge&picture=gauge&target=0");
  await page.locator("compare-cell canvas").nth(3).waitFor();
  await page.getByRole("checkbox", { name: "LayerCAM" }).uncheck();
  await page.waitForURL(/items=/);
  await page.reload();
  await page.locator("compare-cell canvas").nth(2).waitFor();
  equal(await page.locator("compare-cell").count(), 3, "cells after a reload");
  equal(await page.getByRole("checkbox", { name: "LayerCAM" }).isChecked(), false, "the tick");
});

test("compare: opacity repaints every map and asks nothing", async ({ open }) => {
  const page = await open("#compare?model=gauge&picture=gauge&target=0");
  await page.locator("compare-cell canvas").nth(3).waitFor();
  await page.locator("save-menu:visible").waitFor();
  const looks = () => page.locator("compare-cell canvas").evaluateAll((all) => all.map((canvas) => canvas.toDataURL()));
  const before = await looks();
  let asked = 0;
  page.on("request", (request) => {
    if (request.url().includes("/v1/models/gauge")) asked += 1;
  });
  await page.getByLabel("Opacity").fill("0.9");
  await page.waitForTimeout(1000);
  const after = await looks();
  equal(after.filter((look, index) => look === before[index]).length, 0, "maps that stayed");
  equal(asked, 0, "requests");
  await page.reload();
  await page.getByLabel("Opacity").waitFor();
  equal(await page.getByLabel("Opacity").inputValue(), "0.9", "opacity after a reload");
});

test("compare: the maps are saved as one picture", async ({ open }) => {
  const page = await open("#compare?model=gauge&picture=gauge&target=0");
  await page.locator("save-menu:visible").waitFor();
  const png = await saved(page, "PNG");
  equal(png.readUInt32BE(16), 2 * (320 + 16) + 16, "width of the picture");
  equal(JSON.parse(await saved(page, "JSON")).length, 4, "answers");
});

test("compare: a cell leads to its explanation", async ({ open }) => {
  const page = await open("#compare?model=gauge&picture=gauge&target=0");
  await page.locator("compare-cell a.hole").first().click();
  await page.waitForURL(/#explain\?.*method=grad_cam/);
  await page.locator("dl.facts").waitFor();
  assert((await page.title()).startsWith("Explain"), "the title");
});

test("compare: methods are judged, ranked and set beside each other", async ({ open }) => {
  const page = await open("#compare?model=gauge&picture=gauge&target=0&evidence=1");
  await page.locator(".ranking table").waitFor();
  equal(await page.locator("compare-cell .evidence").count(), 4, "cells with evidence");
  equal(await page.locator(".ranking tbody tr").count(), 4, "methods in the ranking");
  equal(await page.locator(".ranking tbody tr").first().locator("td").first().innerText(), "1", "the first place");
  assert(/agree|disagree/.test(await page.locator(".ranking .agreement").innerText()), "a line of agreement");
  assert(/random weights/.test(await page.locator("compare-cell .evidence").first().innerText()), "a line about the weights");
  assert((await page.locator("recipe-panel").innerText()).includes("explain/compare?methods=grad_cam,"), "the call");
});

test("compare: layers are judged each by itself", async ({ open }) => {
  const page = await open("#compare?by=layers&model=gauge&picture=gauge&target=0&evidence=1");
  await page.locator("compare-cell .evidence").nth(1).waitFor();
  equal(await page.locator(".ranking").count(), 0, "rankings");
});
