// The module of one tab fails: its requests pass, and other tabs do not wait for it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "./support/browser.js";
import { startOrigin } from "./support/origin.js";
import { until } from "./support/until.js";

/** @typedef {import("playwright-core").Page} Page */

/** Makes the module trap from now on: replaces one of its functions by one whose only instruction is `unreachable`. */
const FAIL = `(async () => {
  const { Throttle } = await import("/pkg/poolgate_client.js");
  const bytes = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 0x66, 0, 0, 0x0a, 5, 1, 3, 0, 0, 0x0b];
  const { instance } = await WebAssembly.instantiate(new Uint8Array(bytes));
  Throttle.prototype.submit = instance.exports.f;
  window.errors = [];
  client.addEventListener("syncchange", ({ detail }) => errors.push(detail.error instanceof WebAssembly.RuntimeError));
})()`;

/** @type {import("playwright-core").Browser} */
let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

for (const role of ["leader", "follower"]) {
  test(`a ${role} whose module fails lets its requests pass and gives its share back`, { timeout: 60_000 }, async (t) => {
    const origin = await startOrigin();
    const context = await browser.newContext();
    t.after(async () => {
      await context.close();
      await origin.stop();
    });
    // Slots are scarce and stay occupied for a while. The browser itself has six connections.
    origin.limit({ fair_rate_per_second: 1000, max_concurrent_requests: 2 });
    origin.work.ms = 4000;
    const arrived = (/** @type {string} */ name) => origin.seen.app.filter(({ page }) => page === name).length;
    const pages = await Promise.all([0, 1].map(() => context.newPage()));
    for (const page of pages) await page.goto(origin.url);
    await until("one leads, one follows", 5000, async () => `${(await transports(pages)).sort()}` === "shared,sse");
    if ((await transports(pages))[0] !== (role === "leader" ? "sse" : "shared")) pages.reverse();
    const [fails, stays] = /** @type {[Page, Page]} */ (pages);
    /** @type {string[]} */
    const said = [];
    fails.on("console", (message) => message.text().startsWith("[poolgate]") && said.push(message.text()));
    fails.on("pageerror", (error) => said.push(`uncaught: ${error}`));

    await send(fails, 3, "fails");
    await until("it holds all slots", 3000, () => arrived("fails") === 2);
    await send(stays, 1, "stays");
    await fails.evaluate(FAIL);
    assert.deepEqual([arrived("fails"), arrived("stays")], [2, 0], "there is nothing left for either");
    const at = Date.now();
    await send(fails, 1, "fails");
    await until("queued requests have passed, and the next one too", 2000, () => arrived("fails") === 4);
    await until("the other tab continues", 2000, () => arrived("stays") === 1);
    t.diagnostic(`its slots were used again after ${Date.now() - at} ms`);
    assert.deepEqual(await transports([fails, stays]), ["none", "sse"]);
    assert.equal(origin.open(), 1, "one stream");
    await send(fails, 3, "fails");
    await until("later ones pass", 6000, () => arrived("fails") === 7);
    assert.deepEqual(await fails.evaluate("errors"), [true], "the app gets one event");
    assert.deepEqual(said.map((text) => /requests pass through/.test(text)), [true], `${said}`);
  });
}

/**
 * @param {Page} page
 * @param {number} count
 * @param {string} name
 */
async function send(page, count, name) {
  await page.evaluate(
    ([count, name]) => {
      const { client } = /** @type {any} */ (window);
      for (let index = 0; index < Number(count); index += 1)
        client.fetch(`/app/${Math.random()}?page=${name}`).catch(() => {});
    },
    [count, name],
  );
}

/** @param {Page[]} pages */
function transports(pages) {
  return Promise.all(pages.map((page) => page.evaluate(() => /** @type {any} */ (window).client?.state.transport)));
}
