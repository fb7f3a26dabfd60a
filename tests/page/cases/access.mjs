/** For everybody: keyboard alone, screen readers, a phone. */

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { assert, equal, test, tinted } from "../harness.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const VIEWS = {
  "an empty page": ["#try", ".card"],
  "a classification": ["#try?picture=cat&model=mobilenet_v2", ".ranked"],
  "a detection": ["#try?picture=coffee&model=nanodet", ".objects"],
  "a segmentation": ["#try?picture=clothes&model=unet", ".legend"],
  "a caption": ["#try?picture=scene&model=captioner", ".caption"],
  "a VAE": ["#try?picture=bag&model=vae&other=boot", ".contact-sheet"],
  "an embedding": ["#try?picture=cat&model=mobilenet_features&other=coffee", ".cosine"],
  "a regression": ["#try?picture=gauge&model=gauge", ".numbers"],
  "a picture that is made": ["#try?picture=cat&model=super_resolution", ".tabs"],
  "an explanation": ["#explain?picture=cat&model=mobilenet_v2&film=1&beside=1", "film-strip canvas"],
  "a map a word": ["#explain?picture=scene&model=captioner&method=attention", ".maps canvas"],
  "a comparison": ["#compare?picture=gauge&model=gauge&target=0", "compare-cell canvas"],
  "the status": ["#status", ".tile"],
};

for (const [name, [hash, shown]] of Object.entries(VIEWS)) {
  test(`access: axe finds nothing on ${name}, light and dark`, async ({ open }) => {
    for (const scheme of ["light", "dark"]) {
      const page = await open(hash, { scheme });
      await page.locator(shown).first().waitFor();
      await page.waitForTimeout(300);
      // The policy of the page forbids injected scripts; the debugger may evaluate one.
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => window.axe.run());
      const said = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 160)).join(" | ")}`);
      equal(said.join("\n"), "", `violations (${scheme})`);
    }
  });

  test(`access: ${name} has no sideways scroll on 360 pixels, in both languages`, async ({ open }) => {
    for (const locale of ["en-GB", "fr-FR"]) {
      const page = await open(hash, { width: 360, locale });
      await page.locator(shown).first().waitFor();
      await page.waitForTimeout(200);
      equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, `width (${locale})`);
      const head = await page.locator(".top").boundingBox();
      assert(head.height < 64, `the head of the page wraps to ${head.height} pixels (${locale})`);
    }
  });
}

/** Presses Tab until an element that `matches` has the focus. */
async function tabTo(page, matches) {
  for (let count = 0; count < 80; count += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((selector) => document.activeElement?.matches(selector) ?? false, matches)) return;
  }
  throw new Error(`the keyboard does not come to ${matches}`);
}

test("access: the keyboard alone completes a prediction and an explanation", async ({ open }) => {
  const page = await open("#try");
  await page.locator(".card").first().waitFor();
  await tabTo(page, ".card");
  await page.keyboard.press("Enter");
  await page.locator(".ranked li").first().waitFor();
  await tabTo(page, ".why");
  await page.keyboard.press("Enter");
  await tinted(page);
  await page.locator("dl.facts").waitFor();
  await tabTo(page, ".controls select");
  await page.keyboard.press("ArrowDown");
  await page.waitForURL(/method=/);
  await tinted(page);
});

test("access: a control that changes the view keeps the focus", async ({ open }) => {
  const page = await open("#try?picture=cat&model=mobilenet_v2");
  await page.getByLabel("Labels").focus();
  await page.keyboard.press("ArrowRight");
  await page.locator(".ranked li").nth(5).waitFor();
  await page.keyboard.press("ArrowRight");
  await page.locator(".ranked li").nth(6).waitFor();

  await open("#explain?picture=gauge&model=gauge&target=0", { page });
  await tinted(page);
  await page.getByLabel("Target").focus();
  await page.keyboard.press("ArrowDown");
  await page.waitForURL(/target=1/);
  await tinted(page);
  equal(await page.evaluate(() => document.activeElement.labels?.[0]?.textContent), "Target", "the focus");

  await open("#compare?picture=gauge&model=gauge&target=0", { page });
  await page.getByRole("checkbox", { name: "Grad-CAM++" }).focus();
  await page.keyboard.press("Space");
  await page.waitForURL(/items=/);
  await page.locator("compare-cell canvas").nth(4).waitFor();
  equal(await page.evaluate(() => document.activeElement.labels?.[0]?.textContent), "Grad-CAM++", "the focus");
});

test("access: the stage zooms and moves by keys, and says in words what it shows", async ({ open }) => {
  const page = await open("#try?picture=coffee&model=nanodet");
  await page.locator(".objects li").first().waitFor();
  await page.locator(".stage-place .frame").focus();
  await page.keyboard.press("+");
  const scale = () => page.locator(".sheet").evaluate((sheet) => new DOMMatrix(getComputedStyle(sheet).transform).a);
  assert((await scale()) > 1.4, "plus zooms in");
  await page.keyboard.press("0");
  equal(await scale(), 1, "0 shows all of it");
  await page.getByText("What is drawn, in words").click();
  assert(/^cup, .* × .* pixels$/.test(await page.locator(".drawn li").first().textContent()), "the first object is described");
});
