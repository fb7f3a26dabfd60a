/** The address holds the view; languages and themes are remembered. */

import { assert, equal, test, tinted } from "../harness.mjs";

test("address: back, forward and reload keep the view", async ({ open }) => {
  const page = await open("#try?picture=cat&model=mobilenet_v2");
  await page.locator(".ranked li").first().waitFor();
  await page.locator(".ranked .why").first().click();
  await tinted(page);
  await page.getByRole("heading", { name: /Egyptian cat/ }).waitFor();
  await page.getByLabel("Method").selectOption("layer_cam");
  await page.waitForURL(/method=layer_cam/);
  await page.goBack();
  assert(!page.url().includes("layer_cam"), page.url());
  equal(await page.getByLabel("Method").inputValue(), "grad_cam", "method after going back");
  await page.goBack();
  await page.locator(".ranked li").first().waitFor();
  await page.goForward();
  await page.goForward();
  await page.waitForURL(/method=layer_cam/);
  await page.reload();
  await tinted(page);
  equal(await page.getByLabel("Method").inputValue(), "layer_cam", "method after a reload");
});

test("address: what is looked at follows into the other views", async ({ open }) => {
  const page = await open("#try?picture=coffee&model=nanodet");
  await page.locator(".objects li").first().waitFor();
  await page.getByRole("link", { name: "Explain", exact: true }).click();
  await page.waitForURL(/#explain\?.*model=nanodet/);
  assert(page.url().includes("picture=coffee"), page.url());
});

test("address: another model gets a sample that it is good for", async ({ open }) => {
  const page = await open("#try?picture=cat&model=mobilenet_v2");
  await page.locator(".ranked li").first().waitFor();
  await page.getByLabel("Model").selectOption("gauge");
  await page.waitForURL(/picture=gauge/);
  await page.locator(".numbers").waitFor();
});

test("language: the page speaks French to the French, and remembers a choice", async ({ open }) => {
  const page = await open("#try", { locale: "fr-FR" });
  await page.getByText("Que voit le modèle ?").waitFor();
  equal(await page.evaluate(() => document.documentElement.lang), "fr", "lang");
  await page.getByRole("button", { name: "English" }).click();
  await page.getByText("What does the model see?").waitFor();
  await page.reload();
  await page.getByText("What does the model see?").waitFor();
  equal(await page.evaluate(() => document.documentElement.lang), "en", "lang after a reload");
});

test("language: both have the same texts", async () => {
  const [english, french] = await Promise.all(["en", "fr"].map((name) => import(`../../../page/language/${name}.js`)));
  equal(Object.keys(french.default).join(), Object.keys(english.default).join(), "keys");
  for (const [key, text] of Object.entries(english.default)) {
    const names = (from) => (from.match(/\{\w+\}/g) ?? []).sort().join();
    equal(names(french.default[key]), names(text), `placeholders of ${key}`);
  }
});

test("theme: dark as the system has it, and the switch remembers", async ({ open }) => {
  const page = await open("#try", { scheme: "dark" });
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.getByText("What does the model see?").waitFor();
  const dark = await paper();
  await page.getByRole("button", { name: "Dark colours" }).click();
  assert((await paper()) !== dark, "the switch changes the paper");
  await page.reload();
  await page.getByText("What does the model see?").waitFor();
  assert((await paper()) !== dark, "it is remembered");
});
