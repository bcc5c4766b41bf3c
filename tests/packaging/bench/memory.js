// Cost of 10,000 queued requests: bytes per request in JavaScript and in the module, and the time to queue and to
// abort.

import { startOrigin } from "../../browser/support/origin.js";
import { median } from "./figures.js";

const REQUESTS = 10_000;

/**
 * @param {import("../../browser/node_modules/playwright-core/index.js").Browser} browser
 * @param {{ rounds: number }} plan
 */
export async function memory(browser, { rounds }) {
  const origin = await startOrigin();
  origin.limit({ fair_rate_per_second: 0.01, max_concurrent_requests: 1 });
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.addInitScript(() => {
      const { instantiate } = WebAssembly;
      Object.assign(WebAssembly, {
        async instantiate(/** @type {[BufferSource, WebAssembly.Imports]} */ ...args) {
          const result = await instantiate(...args);
          Object.assign(globalThis, { wasm: result.instance.exports.memory });
          return result;
        },
      });
    });
    const options = { maxQueue: REQUESTS, queueTimeoutMs: 600_000, shareAcrossTabs: false };
    await page.goto(`${origin.url}/#${encodeURIComponent(JSON.stringify(options))}`);
    await page.waitForFunction("window.client?.state.enforced");
    const devtools = await context.newCDPSession(page);
    const heap = async () => {
      await devtools.send("HeapProfiler.collectGarbage");
      const usage = /** @type {any} */ (await devtools.send("Runtime.getHeapUsage"));
      const wasm = /** @type {number} */ (await page.evaluate("wasm.buffer.byteLength"));
      return { js: usage.usedSize + (usage.embedderHeapUsedSize ?? 0), wasm };
    };
    /** @type {Record<"js" | "wasm" | "queue" | "abort", number[]>} */
    const seen = { js: [], wasm: [], queue: [], abort: [] };
    const before = await heap();
    for (let round = 0; round < rounds; round += 1) {
      const empty = await heap();
      const queue = await page.evaluate(fill, REQUESTS);
      const full = await heap();
      seen.js.push((full.js - empty.js) / REQUESTS);
      // The module's memory grows once and is then reused.
      seen.wasm.push((full.wasm - before.wasm) / REQUESTS);
      seen.queue.push(queue);
      seen.abort.push(await page.evaluate(drain, REQUESTS));
    }
    const [js, wasm, queue, abort] = [seen.js, seen.wasm, seen.queue, seen.abort].map(median);
    return {
      head: ["10,000 waiting requests", "each"],
      rows: [
        ["JavaScript heap, bytes", js.toFixed(0)],
        ["WebAssembly memory, bytes", wasm.toFixed(0)],
        ["to queue it, µs", queue.toFixed(1)],
        ["to abort it, µs", abort.toFixed(1)],
      ],
    };
  } finally {
    await context.close();
    await origin.stop();
  }
}

/**
 * Runs in the page: microseconds to queue each request.
 * @param {number} count
 */
function fill(count) {
  const page = /** @type {any} */ (globalThis);
  page.controllers = Array.from({ length: count }, () => new AbortController());
  const start = performance.now();
  page.waiting = page.controllers.map((/** @type {AbortController} */ { signal }) => page.client.fetch("/app/x", { signal }));
  const took = performance.now() - start;
  for (const promise of page.waiting) promise.catch(() => {});
  return (took * 1000) / count;
}

/**
 * Runs in the page: microseconds to abort each request, in random order.
 * @param {number} count
 */
async function drain(count) {
  const page = /** @type {any} */ (globalThis);
  const order = page.controllers.toSorted(() => Math.random() - 0.5);
  const start = performance.now();
  for (const controller of order) controller.abort();
  await Promise.allSettled(page.waiting);
  const took = performance.now() - start;
  if (page.client.state.queued !== 0) throw new Error("some still wait");
  page.controllers = page.waiting = undefined;
  return (took * 1000) / count;
}
