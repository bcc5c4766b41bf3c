// What the tests share: the built package, the golden documents, and a real HTTP server that plays the backend.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { resolve } from "node:path";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
// `cargo xtask package` builds it there.
const directory = process.env.POOLGATE_PACKAGE ?? resolve(root, "target/npm/client");

/** A module of the built package; another `copy` is another module. */
export function load(file = "node.js", copy = "") {
  return import(packageUrl(file).href + copy);
}

/** Address of a file of the built package. */
export function packageUrl(file) {
  return pathToFileURL(resolve(directory, file));
}

/** A golden document, as text. */
export function fixture(name) {
  return readFileSync(resolve(root, "tests/fixtures", name), "utf8");
}

/** A golden config with some members changed. */
export function config(name, changes = {}) {
  return { ...JSON.parse(fixture(`config-${name}.json`)), ...changes };
}

/**
 * A server with the config route and the app routes of the test.
 * @param {{ config?: () => object | string | number, app?: import("node:http").RequestListener }} routes `config` gives
 *   a document, a text or a status; an empty text: no answer
 */
export async function backend(routes = {}) {
  routes.config ??= () => config("normal");
  const seen = { config: 0, events: 0, cleanup: 0, app: [] };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    if (pathname === "/api/v1/health/database/throttling-config") {
      seen.config += 1;
      const document = routes.config();
      return document === "" ? request.socket.destroy() : answer(response, document);
    }
    if (pathname === "/api/v1/health/database/events") {
      seen.events += 1;
      return answer(response, 404);
    }
    if (pathname === "/api/v1/health/database/force-cleanup") {
      seen.cleanup += 1;
      return answer(response, request.method === "POST" ? fixture("cleanup.json") : 405);
    }
    seen.app.push({ at: performance.now(), method: request.method, url: request.url, headers: request.headers });
    return routes.app ? routes.app(request, response) : answer(response, { ok: true });
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    seen,
    routes,
    url: `http://127.0.0.1:${server.address().port}`,
    stop() {
      server.closeAllConnections();
      return new Promise((closed) => server.close(closed));
    },
  };
}

/** Waits for something to become true, for two seconds at most. */
export async function until(condition, what) {
  const deadline = performance.now() + 2000;
  while (!condition()) {
    if (performance.now() > deadline) {
      throw new Error(`not within two seconds: ${what}`);
    }
    await sleep(5);
  }
}

function answer(response, body) {
  if (typeof body === "number") {
    response.writeHead(body).end();
  } else {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  }
}
