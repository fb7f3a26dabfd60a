/** Status: models, numbers that move, loading and unloading. */

import { assert, equal, said, test, until } from "../harness.mjs";

test("status: every model stands there with its state", async ({ open, base }) => {
  const page = await open("#status");
  const { models } = await (await fetch(`${base}/v1/models`)).json();
  await page.locator(".models tbody tr").nth(models.length - 1).waitFor();
  const row = page.locator(".models tbody tr", { hasText: "mobilenet_v2" });
  await row.getByText("ready").waitFor();
  assert((await row.textContent()).includes("14 MB of weights"), await row.textContent());
  await page.locator(".tile").getByText("Ready", { exact: true }).waitFor();
});

test("status: the numbers follow what the server does", async ({ open, base }) => {
  const page = await open("#status");
  const total = async () => Number(/(\d+) in all/.exec(await page.locator(".models tbody tr", { hasText: "gauge" }).textContent())?.[1] ?? -1);
  await until(page, () => /in all/.test(document.querySelector(".models tbody")?.textContent ?? ""));
  const before = await total();
  for (let count = 0; count < 3; count += 1) await said(base, "gauge/predict", "gauge.webp");
  await until(page, (old) => {
    const row = [...document.querySelectorAll(".models tbody tr")].find((one) => one.textContent.includes("gauge"));
    return Number(/(\d+) in all/.exec(row.textContent)[1]) >= old + 3;
  }, before);
});

test("status: what may not be unloaded is refused in the server's words; else it goes and comes", async ({ open, expectConsole }) => {
  expectConsole(/status of 403/);
  const page = await open("#status");
  const row = page.locator(".models tbody tr", { hasText: "gauge" });
  await row.getByRole("button", { name: "Unload gauge" }).click();
  const refused = page.locator("problem-box", { hasText: "forbidden" });
  const gone = row.getByText("unloaded");
  await refused.or(gone).first().waitFor();
  if (await refused.isVisible()) return;
  await row.getByRole("button", { name: "Load gauge" }).click();
  await row.getByText("ready").waitFor();
  equal(await page.locator("problem-box:visible").count(), 0, "problems");
});

test("status: a hidden tab does not ask", async ({ open }) => {
  const page = await open("#status");
  await page.locator(".tile").first().waitFor();
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await page.waitForTimeout(500);
  let asked = 0;
  page.on("request", (request) => {
    if (request.url().endsWith("/metrics")) asked += 1;
  });
  await page.waitForTimeout(5000);
  equal(asked, 0, "requests while hidden");
});
