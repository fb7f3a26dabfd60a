/**
 * Tests the page in Chromium against a running server with the models of this repository.
 *
 *     node tests/page/run.mjs --base http://127.0.0.1:8080 [--only WORDS] [--images docs/images]
 *
 * A server that does not have the page yet gets it from development.mjs. `--images` writes the screenshots of the
 * documentation instead of testing.
 */

import { parseArgs } from "node:util";
import { serve } from "./development.mjs";
import { runAll } from "./harness.mjs";
import { takeImages } from "./images.mjs";

const { values } = parseArgs({
  options: {
    base: { type: "string", default: "http://127.0.0.1:8080" },
    only: { type: "string", default: "" },
    images: { type: "string" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
  },
});

for (const suite of ["try", "explain", "compare", "status", "address", "access", "trouble", "size"]) await import(`./cases/${suite}.mjs`);

const own = await fetch(`${values.base}/page/main.js`);
const listener = own.ok ? null : await serve({ port: 0, server: values.base });
const base = listener === null ? values.base : `http://127.0.0.1:${listener.address().port}`;

let failed = 0;
if (values.images === undefined) failed = await runAll({ base, only: values.only, binary: values.chromium });
else await takeImages({ base, folder: values.images, binary: values.chromium });
listener?.closeAllConnections();
listener?.close();
if (failed > 0) console.log(`${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
