/** Screenshots for the documentation. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";

const SHOTS = [
  ["try-classification", "#try?picture=cat&model=mobilenet_v2", ".ranked", {}],
  ["try-detection", "#try?picture=coffee&model=nanodet", ".objects", { scheme: "dark" }],
  ["try-segmentation", "#try?picture=clothes&model=unet", ".legend", {}],
  ["try-vae", "#try?picture=bag&model=vae&other=boot", ".contact-sheet", {}],
  ["explain", "#explain?picture=cat&model=mobilenet_v2&method=layer_cam&film=1", "film-strip li:last-child canvas", { height: 1110 }],
  ["explain-phone", "#explain?picture=scene&model=captioner&method=attention", ".maps canvas", { width: 360, scheme: "dark" }],
  ["compare", "#compare?picture=cat&model=mobilenet_v2", "compare-cell:last-child canvas", {}],
  ["status", "#status", ".models tbody tr", {}],
];

/** @param {{base: string, folder: string, binary: string}} where */
export async function takeImages({ base, folder, binary }) {
  await mkdir(folder, { recursive: true });
  const browser = await chromium.launch({ executablePath: binary });
  for (const [name, hash, shown, { width = 1280, height = 860, scheme = "light" }] of SHOTS) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, locale: "en-GB" });
    const page = await context.newPage();
    await page.goto(`${base}/${hash}`);
    await page.locator(shown).first().waitFor();
    await page.waitForTimeout(2500);
    const png = await page.screenshot();
    // WebP is a third of the size; Chromium writes it as well as anything.
    await page.goto("about:blank");
    const webp = await page.evaluate(smaller, [png.toString("base64"), Math.min(width, 1000)]);
    await writeFile(join(folder, `page-${name}.webp`), Buffer.from(webp, "base64"));
    await context.close();
  }
  await browser.close();
}

/* Runs in the page. */
async function smaller([base64, width]) {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob());
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, Math.round((image.height * width) / image.width)];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/webp", 0.82).split(",")[1];
}
