/** Explain: the map on the canvas is the server's, for each task; targets come from clicks; long methods end. */

import { assert, difference, drawn, equal, saved, test, tinted, until } from "../harness.mjs";

const SHOWN = [
  ["mobilenet_v2", "cat.webp", "method=grad_cam"],
  ["mobilenet_v2", "cat.webp", "method=integrated_gradients&alpha=0.5"],
  ["mobilenet_v2", "coffee.webp", "method=saliency&target=967"],
  ["nanodet", "coffee.webp", "method=layer_cam&target=0"],
  ["selfie", "astronaut.webp", "method=grad_cam"],
  ["unet", "clothes.webp", "method=layer_cam&target=3"],
  ["captioner", "scene.webp", "method=attention&target=word%3D1"],
  ["vae", "bag.png", "method=grad_cam"],
  ["gauge", "gauge.webp", "method=layer_cam&target=0"],
  ["super_resolution", "cat.webp", "method=saliency&target=box%3D100,80,140,120"],
];

for (const [model, file, query] of SHOWN) {
  test(`explain: ${model} ${decodeURIComponent(query)} is the server's overlay`, async ({ open, base }) => {
    const page = await open(`#explain?model=${model}&picture=${file.replace(/\.\w+$/, "")}&${query}&gray=0`);
    await tinted(page);
    await page.locator("dl.facts").waitFor();
    // Marks are the page's own: without them, picture and heat are left.
    await page.evaluate(() => {
      document.querySelectorAll("picture-stage").forEach((stage) => {
        stage.marks = null;
      });
    });
    const overlay = await drawn(base, `${model}/explain?${query}`, file);
    const { mean, differing } = await difference(page, await saved(page, "PNG"), overlay, 12);
    // Chromium's WebP is not the server's to the last bit, and premultiplied colours are rounded once more.
    assert(mean < 2.5 && differing < 0.02, `mean ${mean}, differing ${differing}`);
  });
}

test("explain: an embedding needs another picture, and then has a map", async ({ open }) => {
  const page = await open("#explain?model=mobilenet_features&picture=cat");
  await page.getByText("choose one below the first").waitFor();
  await page.getByRole("region", { name: "Picture" }).locator("picture-input").nth(1).getByRole("button", { name: "A cup of espresso" }).click();
  await tinted(page);
  await page.getByRole("heading", { name: /likeness/ }).waitFor();
});

test("explain: a click chooses the object, the pixel and the word", async ({ open }) => {
  const page = await open("#explain?model=nanodet&picture=coffee");
  await tinted(page);
  await clickAt(page, 0.9, 0.5);
  assert(!page.url().includes("target"), "there is no object at the right edge");
  await clickAt(page, 0.45, 0.45);
  await page.waitForURL(/target=0/);

  const scene = await open("#explain?model=unet&picture=clothes", { page });
  await tinted(scene);
  await clickAt(scene, 0.44, 0.3);
  await scene.waitForURL(/target=3%40pixel%3D\d+%2C\d+/);
  await tinted(scene);

  const caption = await open("#explain?model=captioner&picture=scene&method=attention", { page });
  await caption.locator(".caption .word", { hasText: "boot" }).click();
  await caption.waitForURL(/target=word%3D5/);
  await caption.getByRole("heading", { name: /boot/ }).waitFor();
});

async function clickAt(page, x, y) {
  const box = await page.locator("picture-stage:last-of-type .sheet").boundingBox();
  await page.mouse.click(box.x + x * box.width, box.y + y * box.height);
}

test("explain: a box that is dragged is explained", async ({ open }) => {
  const page = await open("#explain?model=super_resolution&picture=cat");
  await tinted(page);
  const box = await page.locator("picture-stage:last-of-type .sheet").boundingBox();
  await page.mouse.move(box.x + 0.25 * box.width, box.y + 0.25 * box.height);
  await page.mouse.down();
  await page.mouse.move(box.x + 0.5 * box.width, box.y + 0.5 * box.height, { steps: 5 });
  await page.mouse.up();
  await page.waitForURL(/target=box%3D90%2C60%2C180%2C1(19|20)/);
});

test("explain: a layer of the tree changes the map", async ({ open }) => {
  const page = await open("#explain?model=unet&picture=clothes");
  await tinted(page);
  await page.locator("layer-tree summary").click();
  await page.locator("layer-tree .leaf[title='encoder2']").click();
  await page.waitForURL(/layer=encoder2/);
  await page.locator("dl.facts").getByText("48 × 48").waitFor();
});

test("explain: the layers are walked through as a film", async ({ open }) => {
  const page = await open("#explain?model=unet&picture=clothes&film=1");
  await page.locator("film-strip canvas").nth(9).waitFor();
  const shades = await page.locator("film-strip canvas").evaluateAll((all) => all.map((canvas) => canvas.toDataURL()));
  equal(new Set(shades).size, shades.length, "frames that differ");
});

test("explain: a long method shows its progress, and is cancelled", async ({ open }) => {
  const page = await open("#explain?model=mobilenet_v2&picture=cat&method=rise&p.n_masks=5000");
  await page.getByRole("button", { name: "Explain", exact: true }).click();
  await page.getByText(/of 5.?00\d passes/).waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("Cancelled.").waitFor();
  equal(await page.getByRole("progressbar").isVisible(), false, "progress after cancelling");
});

test("explain: opacity and colours change the canvas without asking again", async ({ open }) => {
  const page = await open("#explain?model=gauge&picture=gauge&target=0");
  await tinted(page);
  await page.locator("dl.facts").waitFor();
  let asked = 0;
  page.on("request", (request) => {
    if (request.url().includes("/v1/models/gauge")) asked += 1;
  });
  const look = () => page.evaluate(() => document.querySelector("picture-stage:last-of-type canvas.tint").toDataURL());
  const before = await look();
  await page.getByLabel("Colours", { exact: true }).selectOption("viridis");
  await until(page, (old) => document.querySelector("picture-stage:last-of-type canvas.tint").toDataURL() !== old, before);
  await page.getByLabel("Opacity").fill("0");
  await until(page, () => {
    const canvas = document.querySelector("picture-stage:last-of-type canvas.tint");
    return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.every((value, index) => index % 4 !== 3 || value === 0);
  });
  equal(asked, 0, "requests");
});
