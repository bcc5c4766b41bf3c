// A page in Rust as gloo-net makes it: what poolgate-web adds to it in bytes and time, and what the npm package does for it
// without a change.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, visit } from "../browser/support/browser.js";
import { until } from "../browser/support/until.js";
import { overhead, servePages, weigh } from "./support/pages.js";

/** What the page may load more with poolgate-web, in bytes of brotli. Raise it only in a commit that says why. */
const MOST_BYTES = 32 * 1024;
/** How many times as long as with gloo-net alone a call may take: other work that shares the machine slows both down. */
const MOST_TIMES = 2;
const ROUNDS = 9;

/** @type {import("playwright-core").Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof servePages>>} */
let origin;

before(async () => {
  browser = await launch();
  origin = await servePages();
});

after(async () => {
  await browser?.close();
  await origin?.stop();
});

test("poolgate-web adds no more bytes than it may", (t) => {
  const [bare, more] = [weigh("bare"), weigh("poolgate")];
  for (const [name, { wasm, script }] of Object.entries({ bare, more })) {
    t.diagnostic(`${name}: ${wasm} bytes of WebAssembly and ${script} of JavaScript, as brotli`);
  }
  const added = more.wasm + more.script - bare.wasm - bare.script;
  t.diagnostic(`poolgate-web adds ${added} bytes`);
  assert.ok(added <= MOST_BYTES, `${added}`);
});

test("a call takes hardly longer than with gloo-net alone", { timeout: 120_000 }, async (t) => {
  const times = await overhead(browser, origin, { rounds: ROUNDS, calls: 2000 });
  // The quietest round of each: `cargo xtask bench web` gives medians.
  const [bare, more] = [Math.min(...times.bare), Math.min(...times.poolgate)];
  t.diagnostic(`bare gloo-net ${bare.toFixed(2)} us, with poolgate-web ${more.toFixed(2)} us; ${JSON.stringify(times)}`);
  assert.ok(more <= MOST_TIMES * bare, `${more - bare} us more`);
});

test("the npm package throttles gloo-net and reqwest as they are", { timeout: 120_000 }, async () => {
  origin.limit({ fair_rate_per_second: 1000, max_concurrent_requests: 1 });
  const { page, context } = await visit(browser, `${origin.url}/reqwest-npm.html`);
  await page.waitForFunction("window.page");
  await until("the client knows the limit", 10_000, async () => {
    origin.reset();
    await page.evaluate(`Promise.all(Array.from({ length: 5 }, () => page.get("/app/warm")))`);
    return origin.seen.most === 1;
  });
  origin.reset();
  await page.evaluate(`Promise.all(Array.from({ length: 10 }, async (_, index) => {
    await Promise.all([page.get("/app/gloo"), page.get_by_reqwest(location.origin + "/app/reqwest"), page.post("/app/function")]);
  }))`);
  assert.deepEqual([origin.seen.app.length, origin.seen.most], [30, 1]);

  const open = { circuit_breaker_open: true, throttling_level: "EMERGENCY", emergency_mode_active: true };
  origin.limit({ ...open, retry_after_seconds: 60, fair_rate_per_second: null });
  await until("the breaker is open", 10_000, async () => (await page.evaluate(`page.get("/app/open")`)).startsWith("503"));
  assert.equal(await page.evaluate(`page.get("/app/open")`), '503 "database_unavailable"');
  await context.close();
});

test("the npm package's service worker leaves a page with poolgate-web alone", { timeout: 120_000 }, async () => {
  Object.assign(origin.files, {
    "/worker.js": `import { throttleApp } from "/pkg/service-worker.js"; throttleApp({ maxQueue: 0 });`,
    "/app.html": `<!doctype html><title>app</title><script type="module">
      await navigator.serviceWorker.register("/worker.js", { type: "module" });
      await navigator.serviceWorker.ready;
    </script>`,
  });
  const { page: app, context } = await visit(browser, `${origin.url}/app.html`);
  const open = async (/** @type {string} */ variant) => {
    const page = await context.newPage();
    await page.goto(`${origin.url}/${variant}.html`);
    await page.waitForFunction("window.page && navigator.serviceWorker.controller");
    return page;
  };
  const five = (/** @type {import("playwright-core").Page} */ page) => page.evaluate(`Promise.all(
    Array.from({ length: 5 }, () => page.get("/app/five").then((answer) => answer.slice(0, 3))))`);
  try {
    await app.evaluate("navigator.serviceWorker.ready.then(() => 0)");
    await app.reload();
    // The worker rejects a second request at the same time, because it has no queue.
    origin.limit({ fair_rate_per_second: 1000, max_concurrent_requests: 1 });
    const bare = await open("bare");
    await until("the worker throttles a page without a client", 15_000, async () => (await five(bare)).includes("503"));

    const own = await open("poolgate");
    await own.evaluate(`page.get("/app/first").then(() => 0)`);
    await until("the worker knows the page's client", 5000, () => own.evaluate(`caches.keys().then(async ([name]) =>
      (await (await caches.open(name)).keys()).some(({ url }) => url.includes("own-client")))`));
    // Another page keeps the worker's client busy.
    await bare.evaluate(`setInterval(() => page.get("/app/busy").catch(() => {}), 10), 0`);
    assert.deepEqual(await five(own), Array(5).fill("200"));
  } finally {
    await context.close();
  }
});
