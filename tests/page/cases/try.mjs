/** Try, task by task: what stands on the canvas and beside it is what the server says. */

import { PHOTO, assert, difference, drawn, equal, said, saved, test, tinted, until } from "../harness.mjs";

test("try: a sample is one action away from a prediction", async ({ open, base }) => {
  const page = await open("#try");
  await page.getByRole("button", { name: /A cat/ }).click();
  await page.locator(".ranked li").first().waitFor();
  const { predictions } = await said(base, "mobilenet_v2/predict", "cat.webp");
  const labels = await page.locator(".ranked .name").allTextContents();
  equal(labels.join(), predictions[0].classes.map(({ label }) => label).join(), "labels");
  const widths = await page.locator(".ranked .bar > span").evaluateAll((bars) => bars.map((bar) => bar.clientWidth / bar.parentElement.clientWidth));
  assert(Math.abs(widths[0] - predictions[0].classes[0].score) < 0.02, `the first bar shows ${widths[0]}`);
  assert(widths[0] > widths[1] && widths[1] > widths[2], "bars shrink");
});

test("try: a file of one's own is predicted and stays out of the address", async ({ open }) => {
  const page = await open("#try?model=mobilenet_v2");
  await page.setInputFiles("input[type=file] >> nth=0", PHOTO);
  await page.locator(".ranked").getByText("espresso", { exact: true }).waitFor();
  assert(/picture=own-1/.test(page.url()), page.url());
  await page.getByText("not part of the address").waitFor();
  await page.reload();
  await page.getByText("Choose it again").first().waitFor();
});

test("try: boxes are drawn where the detector says", async ({ open, base }) => {
  const page = await open("#try?model=nanodet&picture=coffee");
  await page.locator(".objects li").first().waitFor();
  const [{ objects }] = (await said(base, "nanodet/predict", "coffee.webp")).predictions;
  equal(await page.locator(".objects li").count(), objects.length, "objects");
  const hits = await page.evaluate(edges, objects);
  for (const [index, share] of hits.entries()) assert(share > 0.6, `only ${share} of the edge of ${objects[index].label} is drawn`);
});

/* Runs in the page: for each object, the part of its outline that has ink, a pixel inside or outside allowed. */
function edges(objects) {
  const canvas = document.querySelector("canvas.marks");
  const scale = canvas.width / document.querySelector("img.base").naturalWidth;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const ink = (x, y) => {
    const [column, row] = [Math.min(canvas.width - 1, Math.round(x * scale)), Math.min(canvas.height - 1, Math.round(y * scale))];
    return data[4 * (row * canvas.width + column) + 3] > 100;
  };
  return objects.map(({ box }) => {
    const steps = Array.from({ length: 50 }, (_, step) => (step + 0.5) / 50);
    const hits = steps.filter((part) => ink(box.x_min, box.y_min + part * (box.y_max - box.y_min))).length
      + steps.filter((part) => ink(box.x_min + part * (box.x_max - box.x_min), box.y_min)).length;
    return hits / 100;
  });
}

for (const [model, picture] of [["selfie", "astronaut"], ["unet", "clothes"]]) {
  test(`try: masks of ${model} are the server's overlay, pixel by pixel`, async ({ open, base }) => {
    const page = await open(`#try?model=${model}&picture=${picture}`);
    await tinted(page);
    await page.locator(".legend li").first().waitFor();
    const overlay = await drawn(base, `${model}/predict?render=overlay`, `${picture}.webp`);
    const { mean, differing } = await difference(page, await saved(page, "PNG"), overlay);
    // Colours that were premultiplied are rounded once more, and Chromium's WebP is not the server's.
    assert(mean < 2 && differing < 0.01, `mean ${mean}, differing ${differing}`);
  });
}

test("try: a class of a mask can be hidden, and the address keeps that", async ({ open }) => {
  const page = await open("#try?model=selfie&picture=astronaut");
  await tinted(page);
  await page.getByRole("checkbox", { name: "person" }).uncheck();
  await until(page, () => {
    const canvas = document.querySelector("canvas.tint");
    return !canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value, index) => index % 4 === 3 && value > 0);
  });
  await page.reload();
  equal(await page.getByRole("checkbox", { name: "person" }).isChecked(), false, "after a reload");
});

test("try: words of a caption light up where the decoder looked", async ({ open, base }) => {
  const page = await open("#try?model=captioner&picture=scene");
  const words = page.locator(".caption .word");
  await words.first().waitFor();
  const [caption] = (await said(base, "captioner/predict?attention=true", "scene.webp")).predictions[0].captions;
  equal((await words.allTextContents()).join(" "), caption.text, "caption");
  const boot = caption.text.split(" ").indexOf("boot");
  await words.nth(boot).click();
  await tinted(page);
  const warm = await page.evaluate(hottest);
  const { shape: [rows, columns], data } = caption.tokens[boot].attention;
  const best = data.indexOf(Math.max(...data));
  const apart = Math.hypot(warm.x - ((best % columns) + 0.5) / columns, warm.y - (Math.floor(best / columns) + 0.5) / rows);
  assert(apart < 0.15, `the warmest place is ${apart} away from where the attention is largest`);
});

/* Runs in the page: where the tint is warmest, as parts of its sides. */
function hottest() {
  const canvas = document.querySelector("canvas.tint");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let [best, sumX, sumY, count] = [0, 0, 0, 0];
  for (let at = 0; at < data.length; at += 4) best = Math.max(best, data[at] - data[at + 1] - data[at + 2]);
  for (let at = 0; at < data.length; at += 4) {
    if (data[at] - data[at + 1] - data[at + 2] < best - 10) continue;
    sumX += (at / 4) % canvas.width;
    sumY += Math.floor(at / 4 / canvas.width);
    count += 1;
  }
  return { x: sumX / count / canvas.width, y: sumY / count / canvas.height };
}

test("try: a VAE reconstructs, decodes moved latents, samples and interpolates", async ({ open }) => {
  const page = await open("#try?model=vae&picture=bag&other=boot");
  const decoded = page.locator(".decoded img");
  await decoded.waitFor();
  await page.locator(".film img").nth(7).waitFor();
  equal(await page.locator(".contact-sheet img").count(), 16, "samples");
  const before = await decoded.getAttribute("src");
  await page.locator(".sliders input").first().fill("4");
  await until(page, (src) => document.querySelector(".decoded img").src !== src, before);
  const [first, last] = await Promise.all([0, 7].map((index) => page.locator(".film img").nth(index).getAttribute("src")));
  assert(first !== last, "the way leads somewhere");
});

test("try: two pictures are compared by their embeddings", async ({ open }) => {
  const page = await open("#try?model=mobilenet_features&picture=cat&other=cat");
  await page.locator(".big").waitFor();
  assert(/^1/.test(await page.locator(".big").textContent()), "a picture is like itself");
  await page.goto(page.url().replace("other=cat", "other=coffee"));
  await until(page, () => /^0\.\d/.test(document.querySelector(".big")?.textContent ?? ""));
});

test("try: numbers have their names and units", async ({ open, base }) => {
  const page = await open("#try?model=gauge&picture=gauge");
  const value = page.locator(".numbers dd").first();
  await value.waitFor();
  const [{ values }] = (await said(base, "gauge/predict", "gauge.webp")).predictions;
  equal(await value.textContent(), `${Number(values[0].value.toPrecision(4))} ${values[0].unit}`, "pressure");
});

test("try: a picture that was made is the server's", async ({ open, base }) => {
  const page = await open("#try?model=super_resolution&picture=cat&wipe=0");
  await tinted(page);
  await page.locator(".panel p.note", { hasText: "360 × 239 pixels, values from" }).waitFor();
  const made = await drawn(base, "super_resolution/predict?resolution=original", "cat.webp");
  const { mean, differing } = await difference(page, await saved(page, "PNG"), made);
  assert(mean < 1 && differing < 0.01, `mean ${mean}, differing ${differing}`);
});

test("try: a result is saved as JSON and as a report that needs nothing else", async ({ open }) => {
  const page = await open("#try?picture=cat&model=mobilenet_v2");
  await page.locator(".ranked li").first().waitFor();
  equal(JSON.parse(await saved(page, "JSON")).task, "classification", "task of the JSON");
  const report = String(await saved(page, "Report"));
  assert(report.includes("Egyptian cat") && report.includes("data:image/png;base64,") && report.includes("curl"), "the report has all");
  assert(!/(src|href)="(?!data:)/.test(report), "the report refers to nothing");
});

test("try: the curl line gives the same answer", async ({ open, base }) => {
  const page = await open("#try?picture=cat&model=mobilenet_v2&top_k=2");
  await page.locator(".ranked li").first().waitFor();
  const line = await page.locator("recipe-panel pre").textContent();
  assert(line.includes("--data-binary @cat.webp") && line.includes(`${base}/v1/models/mobilenet_v2/predict?top_k=2`), line);
  await page.getByRole("button", { name: "Python" }).click();
  const python = await page.locator("recipe-panel pre").textContent();
  assert(python.includes('client.predict("mobilenet_v2", "cat.webp", top_k=2)'), python);
});
