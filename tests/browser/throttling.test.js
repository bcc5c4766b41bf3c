// Separate browsers under load: the requests of each are throttled, counted by the server, and recover.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, visit } from "./support/browser.js";
import { LOAD, clientLine, figure, ready } from "./support/page.js";
import { startServer } from "./support/server.js";
import { until } from "./support/until.js";

const BROWSERS = 8;
/** Demand of each browser in requests per second, far above a fair share of 125 among 208. */
const WANTED_PER_SECOND = 10;
const MEASURED_MS = 8_000;

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {import("playwright-core").Browser} */
let browser;
/** @type {(Awaited<ReturnType<typeof visit>> & { sent: () => number })[]} */
let visitors = [];

before(async () => {
  browser = await launch();
  server = await startServer();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test(
  `${BROWSERS} browsers are throttled during an overload, and only then`,
  { timeout: 180_000 },
  async (t) => {
    await t.test("they join a server under load", async () => {
      await server.startLoad({ ...LOAD, poolgate: true, seconds: 300 });
      visitors = await Promise.all(Array.from({ length: BROWSERS }, () => join()));
      await Promise.all(visitors.map(({ page }) => ready(page)));
      await until(
        "all clients know that a limit is in force",
        30_000,
        () => every(async ({ page }) => !/not limited/.test(await clientLine(page))),
        lines,
      );
    });

    await t.test("their requests wait in their own queues, and few reach the server", async () => {
      await each(async ({ page }) => {
        await page.fill('#browser [name="rate"]', String(WANTED_PER_SECOND));
        await page.fill('#browser [name="hold_ms"]', String(LOAD.hold_ms));
        await page.click("#browser-start");
      });
      await until(
        "requests wait in each",
        20_000,
        () => every(async ({ page }) => (await figure(page, "browser-tally-queued")) > 3),
        tallies,
      );
      const from = await Promise.all(visitors.map(measure));
      await until(
        "the measured time is over",
        MEASURED_MS + 5_000,
        () => Date.now() - (from.at(-1)?.at ?? 0) >= MEASURED_MS,
      );
      const to = await Promise.all(visitors.map(measure));
      to.forEach((end, index) => {
        const begin = from[index] ?? assert.fail();
        const wanted = end.wanted - begin.wanted;
        const sent = end.sent - begin.sent;
        assert.ok(wanted > 40, `browser ${index} wanted ${wanted}`);
        assert.ok(sent < wanted / 2, `browser ${index} sent ${sent} of ${wanted} wanted requests`);
      });
      const sent = to.reduce((sum, end, index) => sum + end.sent - (from[index]?.sent ?? 0), 0);
      const rate = ((sent / MEASURED_MS) * 1000).toFixed(1);
      t.diagnostic(
        `${BROWSERS} browsers sent ${rate} requests a second of ${BROWSERS * WANTED_PER_SECOND} wanted`,
      );
      assert.ok(sent >= BROWSERS, `no browser is starved: ${sent} arrived`);
    });

    await t.test("the requests that they send succeed", async () => {
      const [succeeded = 0, rejected = 0, failed = 0] = await Promise.all(
        ["succeeded", "rejected", "failed"].map(sum),
      );
      assert.ok(
        succeeded / (succeeded + rejected + failed) > 0.75,
        `${succeeded} succeeded, ${rejected} were rejected, ${failed} failed`,
      );
    });

    await t.test("they recover when the load is gone", async () => {
      await server.stopLoad();
      // Eight browsers at 10/s with a hold time of 200 ms need 16 of 25 permits, so all fit.
      await until(
        "no queue is left",
        30_000,
        () => every(async ({ page }) => (await figure(page, "browser-tally-queued")) === 0),
        tallies,
      );
      await until(
        "no client is limited",
        30_000,
        () => every(async ({ page }) => /not limited/.test(await clientLine(page))),
        lines,
      );
      const before = await Promise.all(visitors.map(measure));
      await until(
        "requests pass without limits",
        20_000,
        async () => {
          const now = await Promise.all(visitors.map(measure));
          return now.every((end, index) => end.sent - (before[index]?.sent ?? 0) > 20);
        },
        tallies,
      );
      await each(({ page }) => page.click("#browser-stop"));
      assert.deepEqual(
        visitors.flatMap(({ complaints }) => complaints),
        [],
      );
    });
  },
);

/** A visitor whose lab requests are counted as the browser sends them. */
async function join() {
  const visitor = await visit(browser, server.url);
  let sent = 0;
  visitor.page.on("request", (request) => {
    if (new URL(request.url()).pathname === "/api/v1/lab/hold") sent += 1;
  });
  return { ...visitor, sent: () => sent };
}

/** @param {typeof visitors[number]} visitor */
async function measure({ page, sent }) {
  return { at: Date.now(), wanted: await figure(page, "browser-tally-wanted"), sent: sent() };
}

/**
 * A figure summed over all browsers.
 * @param {string} key
 */
async function sum(key) {
  const each = await Promise.all(visitors.map(({ page }) => figure(page, `browser-tally-${key}`)));
  return each.reduce((total, value) => total + value, 0);
}

/** @param {(visitor: typeof visitors[number]) => Promise<unknown>} action */
function each(action) {
  return Promise.all(visitors.map(action));
}

/** @param {(visitor: typeof visitors[number]) => Promise<boolean>} ask */
async function every(ask) {
  return (await Promise.all(visitors.map(ask))).every(Boolean);
}

function lines() {
  return Promise.all(visitors.map(({ page }) => clientLine(page)));
}

function tallies() {
  return Promise.all(visitors.map(({ page }) => page.locator("#browser-tally").innerText()));
}
