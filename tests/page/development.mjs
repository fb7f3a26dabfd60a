/**
 * Serves the page as the program will: index.html at `/`, the rest at `/page/…`, with the strict policy; everything
 * else is the server's.
 *
 *     node development.mjs --port 9300 --server http://127.0.0.1:8080
 */

import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

export const PAGE = fileURLToPath(new URL("../../page", import.meta.url));

export const POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob: data:", "connect-src 'self'",
  "font-src 'self'", "manifest-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
].join("; ");

const KINDS = {
  ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
  ".png": "image/png", ".svg": "image/svg+xml", ".webp": "image/webp",
};

async function file(response, path) {
  const safe = normalize(join(PAGE, path));
  const bytes = safe.startsWith(PAGE) ? await readFile(safe).catch(() => null) : null;
  if (bytes === null) return response.writeHead(404).end();
  const headers = { "content-type": KINDS[extname(safe)] ?? "application/octet-stream", "content-security-policy": POLICY, "x-content-type-options": "nosniff", "cache-control": "no-cache" };
  return response.writeHead(200, headers).end(bytes);
}

function pass(incoming, response, server) {
  const { hostname, port } = new URL(server);
  const headers = { ...incoming.headers, host: `${hostname}:${port}` };
  const onward = request({ hostname, port, path: incoming.url, method: incoming.method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  // A server that is gone is a connection that ends, as without this proxy.
  onward.on("error", () => response.destroy());
  response.on("close", () => onward.destroy());
  incoming.pipe(onward);
}

/** @param {{port: number, server: string}} where */
export function serve({ port, server }) {
  const listener = createServer((incoming, response) => {
    const { pathname } = new URL(incoming.url, "http://page");
    if (pathname === "/") return file(response, "index.html");
    if (pathname.startsWith("/page/")) return file(response, pathname.slice("/page/".length));
    return pass(incoming, response, server);
  });
  return new Promise((resolve) => {
    listener.listen(port, "127.0.0.1", () => resolve(listener));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { port: { type: "string", default: "9300" }, server: { type: "string", default: "http://127.0.0.1:8080" } } });
  await serve({ port: Number(values.port), server: values.server });
  console.log(`http://127.0.0.1:${values.port}`);
}
