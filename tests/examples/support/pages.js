// A page in Rust as gloo-net makes it, and the same with poolgate-web: served, weighed and timed.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";

import { visit } from "../../browser/support/browser.js";
import { startOrigin } from "../../browser/support/origin.js";
import { functions } from "./functions.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** Built by `cargo xtask test --only examples` and `cargo xtask bench web`. */
const PAGES = process.env.EXAMPLE_PAGES ?? path.join(ROOT, "target/examples/page");
const TOOLS = process.env.POOLGATE_TOOLS ?? path.join(ROOT, "tests/browser/node_modules");
/** What rustc's WebAssembly may use. */
const FEATURES = ["bulk-memory", "multivalue", "mutable-globals", "nontrapping-float-to-int", "reference-types", "sign-ext"];

/** A server with every variant: `/<variant>.html`, and `/<variant>-npm.html` with the npm package's global `fetch`. */
export async function servePages() {
  /** @type {Record<string, any>} */
  const files = {};
  for (const variant of readdirSync(PAGES)) {
    const html = (/** @type {string} */ script) => `<!doctype html><title>page</title><script type="module">${script}</script>`;
    files[`/${variant}.html`] = html(`import init, * as page from "/${variant}/example_page.js"; await init(); globalThis.page = page;`);
    // Imports run before everything else, so the app is imported later.
    files[`/${variant}-npm.html`] = html(`
      import { createThrottledFetch } from "/pkg/index.js";
      globalThis.fetch = createThrottledFetch({ onReject: "respond" });
      const { default: init, ...page } = await import("/${variant}/example_page.js");
      await init();
      globalThis.page = page;`);
    files[`/${variant}/example_page.js`] = readFileSync(path.join(PAGES, variant, "example_page.js"), "utf8");
    files[`/${variant}/example_page_bg.wasm`] = (/** @type {any} */ _, /** @type {any} */ response) => {
      response.writeHead(200, { "content-type": "application/wasm" });
      response.end(readFileSync(path.join(PAGES, variant, "example_page_bg.wasm")));
    };
  }
  return startOrigin(files);
}

/**
 * Brotli bytes of a variant after wasm-opt, and the bytes of code by crate.
 * @param {string} variant
 */
export function weigh(variant) {
  const folder = mkdtempSync(path.join(tmpdir(), "poolgate-page-"));
  try {
    const small = path.join(folder, "small.wasm");
    const optimize = (/** @type {string[]} */ options) =>
      execFileSync(process.execPath, [
        path.join(TOOLS, "binaryen/bin/wasm-opt"),
        "-Oz", ...options, ...FEATURES.map((feature) => `--enable-${feature}`),
        path.join(PAGES, variant, "example_page_bg.wasm"), "-o", small,
      ]);
    optimize(["--debuginfo"]);
    const crates = byCrate(functions(readFileSync(small)));
    optimize(["--strip-debug", "--strip-producers", "--strip-target-features"]);
    const script = readFileSync(path.join(PAGES, variant, "example_page.js"));
    return { wasm: brotliCompressSync(readFileSync(small)).length, script: brotliCompressSync(script).length, crates };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Generic code counts for the crate that it was made for. The page itself contains what was inlined into it. */
const CRATES = [
  "poolgate_web", "poolgate_front", "poolgate_throttle", "poolgate_types", "example_page",
  "gloo_net", "gloo_timers", "js_sys", "web_sys", "wasm_bindgen", "serde_json", "serde_core",
];

/** @param {{ name: string, bytes: number }[]} list */
function byCrate(list) {
  /** @type {Map<string, number>} */
  const crates = new Map();
  for (const { name, bytes } of list) {
    const crate = CRATES.find((crate) => name.includes(crate)) ?? "the standard library";
    crates.set(crate, (crates.get(crate) ?? 0) + bytes);
  }
  return crates;
}

/**
 * Microseconds per call, one after the other, with gloo-net alone and with poolgate-web. Each round runs both, so that
 * disturbances of the machine affect both.
 * @param {import("playwright-core").Browser} browser
 * @param {Awaited<ReturnType<typeof servePages>>} origin
 * @param {{ rounds: number, calls: number }} plan
 */
export async function overhead(browser, origin, { rounds, calls }) {
  origin.release();
  const pages = [];
  for (const variant of ["bare", "poolgate"]) {
    const { page, context } = await visit(browser, `${origin.url}/${variant}.html`);
    await page.waitForFunction("window.page");
    // The client has heard of its config.
    await page.evaluate(`page.get("/app/first")`);
    await page.evaluate(`globalThis.fetch = async () => new Response(null, { headers: { "poolgate-config": "${origin.header()}" } }), 0`);
    await page.evaluate(`page.microseconds("/app/warm", ${calls})`);
    pages.push({ page, context });
  }
  /** @type {[number[], number[]]} */
  const times = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, { page }] of pages.entries()) {
      await page.bringToFront();
      times[index]?.push(await page.evaluate(`page.microseconds("/app/call", ${calls})`));
    }
  }
  await Promise.all(pages.map(({ context }) => context.close()));
  return { bare: times[0], poolgate: times[1] };
}
