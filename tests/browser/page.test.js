// The page end to end, as in the README: overload, switch on, recover.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, visit } from "./support/browser.js";
import {
  LOAD,
  SERVED_PERCENT,
  choose,
  figure,
  fillLoad,
  level,
  ran,
  ready,
  shown,
  success,
  text,
} from "./support/page.js";
import { startServer } from "./support/server.js";
import { until } from "./support/until.js";

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {import("playwright-core").Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof visit>>} */
let visitor;

before(async () => {
  browser = await launch();
  server = await startServer();
  visitor = await visit(browser, server.url);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test("a quiet server is NORMAL, and every part of the page shows its figures", async () => {
  const { page } = visitor;
  await ready(page);
  assert.equal(await level(page), "NORMAL");
  await until(
    "the verdict says since when, as the server remembers it",
    5_000,
    async () =>
      /^No requests in the last 10 s; \d+ of 30 connections in use, nothing waits\s.*Mode NORMAL since [\d:]+\./s.test(
        await shown(page),
      ),
    () => shown(page),
  );
  assert.match(await text(page, "stats-busy"), /^\d+ \/ 30$/);
  assert.match(await page.locator("#gate-text").innerText(), /of 25 in flight, 0 waiting/);
  await until("figures are fresh", 5_000, async () =>
    /^Live/.test(await page.locator("#contact").innerText()),
  );
  assert.equal(await page.locator(".chart canvas").count(), 3);
  assert.ok((await page.locator("poolgate-status").count()) === 1, "the status element exists");
});

test("from now on layout shifts are recorded", () => visitor.page.evaluate(watchShifts));

test("without Poolgate an overload is rejected", { timeout: 60_000 }, async () => {
  const { page } = visitor;
  await fillLoad(page);
  await choose(page, "without");
  await page.click("#driver-start");
  await until(
    "rejects show",
    20_000,
    async () => (await figure(page, "without-rejected")) > 50 && (await figure(page, "stats-rejected")) > 10,
    () => shown(page),
  );
  await until(
    "the success rate falls",
    20_000,
    async () => (await success(page, "without")) < 60,
    () => success(page, "without"),
  );
  await until(
    "the level rises",
    20_000,
    async () => (await level(page)) !== "NORMAL",
    () => shown(page),
  );
});

test("with Poolgate the same demand succeeds", { timeout: 90_000 }, async () => {
  const { page } = visitor;
  const collapsed = await success(page, "without");
  await choose(page, "with");
  await until("the load runs with Poolgate", 15_000, async () => (await success(page, "with")) >= 0);
  const recovered = await until(
    "the success rate recovers while users wait in their own queues",
    45_000,
    async () => {
      // Ten seconds are two windows of the rate: all users run, and the start is no longer in the figure.
      if ((await ran(page, "with")) < 10) return false;
      const [rate, waiting] = [await success(page, "with"), await figure(page, "with-queued")];
      return rate >= SERVED_PERCENT && waiting > 0 && (await level(page)) !== "NORMAL" && rate;
    },
    async () => ({ success: await success(page, "with"), verdict: await shown(page) }),
  );
  assert.ok(recovered > collapsed + 30, `${recovered} % with Poolgate, ${collapsed} % without`);
  assert.match(await shown(page), /Each client may send/);
  assert.ok((await success(page, "without")) >= 0, "the result without Poolgate is kept beside it");
  const [inSync, live] = (await text(page, "stats-clients")).split(" / ").map(Number);
  assert.ok(live > LOAD.users, `the users count as clients: ${inSync} of ${live} in sync`);
});

test("this browser's own requests go through the client", { timeout: 60_000 }, async () => {
  const { page } = visitor;
  await page.fill('#browser [name="rate"]', "8");
  await page.click("#browser-start");
  await until("requests succeed", 20_000, async () => (await figure(page, "browser-tally-succeeded")) > 2);
  await until(
    "the client lets requests wait",
    20_000,
    async () => (await figure(page, "browser-tally-queued")) > 0,
    () => page.locator("#browser").locator("..").innerText(),
  );
  await page.click("#browser-stop");
  await until(
    "a stop takes back what waits",
    10_000,
    async () => (await figure(page, "browser-tally-queued")) === 0,
  );
});

test("the load stops and the level falls back to NORMAL", { timeout: 60_000 }, async () => {
  const { page } = visitor;
  await page.click("#driver-stop");
  await until("the load has ended", 10_000, async () =>
    /No load/.test(await page.locator("#driver-state").innerText()),
  );
  await until(
    "the level is NORMAL again",
    15_000,
    async () => (await level(page)) === "NORMAL",
    () => shown(page),
  );
  const events = await page.locator("#log").innerText();
  assert.match(events, /NORMAL → /, "the log has the rise");
  assert.match(events, /→ NORMAL/, "the log has the fall");
  assert.match(await page.locator("#shares").innerText(), /NORMAL\s+\d/);
});

test("overload and recovery caused no layout shift", async () => {
  const { sum, shifts } = await visitor.page.evaluate(() => Reflect.get(window, "layoutShifts"));
  assert.ok(sum < 0.02, `layout shifts sum up to ${sum.toFixed(3)}: ${JSON.stringify(shifts)}`);
});

test("a forced cleanup shows its report", async () => {
  const { page } = visitor;
  const ask = async () => {
    await page.click("#cleanup-force");
    await page.click("#cleanup-run");
  };
  await ask();
  const answer = page.locator("#cleanup-answer");
  await until(
    "the report shows",
    15_000,
    async () => {
      const said = await answer.innerText();
      // The page's own client may have asked for one while most requests were rejected.
      if (/ran a moment ago/.test(said)) await ask();
      return /freed/.test(said);
    },
    () => answer.innerText(),
  );
  assert.match(await page.locator("#cleanup").innerText(), /by a person/);
  await ask();
  await until(
    "a second one is refused in words",
    10_000,
    async () => /^Cleanup not run: ./.test(await answer.innerText()),
    () => answer.innerText(),
  );
});

test("pause stops every figure, and resume shows the newest", async () => {
  const { page } = visitor;
  const stats = page.locator("#stats");
  await page.click("#pause");
  await until("the header says so", 5_000, async () =>
    /^Paused/.test(await page.locator("#contact").innerText()),
  );
  const held = await stats.innerText();
  const { admitted_total: before } = (await server.json("/api/v1/health/database/status")).gate;
  await server.startLoad({ ...LOAD, seconds: 5, poolgate: true });
  await until(
    "the server has served some load",
    15_000,
    async () => (await server.json("/api/v1/health/database/status")).gate.admitted_total > before + 100,
  );
  assert.equal(await stats.innerText(), held);
  await page.click("#pause");
  await until("figures move again", 5_000, async () => (await stats.innerText()) !== held);
  await server.stopLoad();
});

test("each chart can be read as a table", async () => {
  const { page } = visitor;
  const details = page.locator(".chart details").first();
  await details.locator("summary").click();
  await until("rows show", 5_000, async () => (await details.locator("tbody tr").count()) > 5);
  assert.match(
    (await page.locator(".chart-box").first().getAttribute("aria-label")) ?? "",
    /^Requests per second, last .*rejected [\d.]+, failed [\d.]+\.$/,
  );
});

test("the history survives a reload", async () => {
  const { page } = visitor;
  await page.reload();
  await ready(page);
  assert.match(await page.locator("#log").innerText(), /NORMAL → /);
  assert.ok((await success(page, "without")) >= 0, "results are kept");
});

test("a page that is opened after it all shows the past at once", async () => {
  const late = await visit(browser, server.url);
  try {
    await ready(late.page);
    await until("the log has what was", 5_000, async () => {
      const log = await late.page.locator("#log").innerText();
      return /NORMAL → /.test(log) && /Poolgate \S+ started/.test(log);
    });
    // More than the second in which it was opened.
    await until("the strip has what was", 5_000, async () => {
      const runs = late.page.locator("#strip .run:not([data-level=NORMAL])");
      return (await runs.count()) > 0;
    });
    assert.doesNotMatch(await shown(late.page), /or earlier/);
    assert.deepEqual(late.complaints, []);
  } finally {
    await late.context.close();
  }
});

test("there was no CSP violation and no console error", () => {
  assert.deepEqual(visitor.complaints, []);
});

/** Sums up layout shifts without user input (the browser's own measure). Runs in the page. */
function watchShifts() {
  /** @type {{ sum: number, shifts: unknown[] }} */
  const seen = { sum: 0, shifts: [] };
  Reflect.set(window, "layoutShifts", seen);
  new PerformanceObserver((list) => {
    for (const entry of /** @type {any[]} */ (list.getEntries())) {
      if (entry.hadRecentInput) continue;
      seen.sum += entry.value;
      const names = entry.sources.map(
        (/** @type {any} */ { node }) => node?.id || node?.className || node?.nodeName,
      );
      if (seen.shifts.length < 20) seen.shifts.push([entry.value, names]);
    }
  }).observe({ type: "layout-shift" });
}
