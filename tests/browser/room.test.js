// The page uses the room that a window has: what matters stands first, and no column stands empty.

import assert from "node:assert/strict";
import { test } from "node:test";

import { bottom, collisions, pageLength, shortestColumn, spaceText } from "./support/geometry.js";
import { LOAD_REPORT, says, scriptedPages } from "./support/scripted-page.js";
import { until } from "./support/until.js";

/** @typedef {import("./support/scripted-page.js").Page} Page */

const open = scriptedPages();

/**
 * A page with two alerts and some rows in each table.
 * @param {{ width: number, height: number }} viewport
 * @param {boolean} demo
 */
async function busy(viewport, demo) {
  const { page, script } = await open({
    context: { viewport },
    prepare({ script }) {
      if (demo) script.load = { ...LOAD_REPORT };
      const since = new Date().toISOString();
      Object.assign(script.rates, { succeeded: 1250, rejected: 1200, failed: 30 });
      Object.assign(script.status.pool, { checked_out: 25, idle: 3, usage_percent: 83.3 });
      Object.assign(script.status.gate, { in_flight: 25, waiting: 1210 });
      Object.assign(script.status.performance, { acquire_wait_ms: { p50: 80, p95: 1159, p99: 12_159 }, response_time_ms: { p50: 80, p95: 1159, p99: 2159 } });
      script.status.clients = { ...script.status.clients, live: 1309, in_sync: 1300 };
      script.status.alerts = [
        { kind: "login_refused", severity: "critical", message: "the database refuses the login", since },
        { kind: "pool_usage", severity: "warning", message: "connection pool usage 81.0 %", since },
      ];
      const times = { p50: 12, p95: 80, p99: 950 };
      script.activity.routes = ["GET /orders/{id}", "POST /orders", "GET /stock"].map((route) => ({ route, requests: 1200, error_rate: 0.125, response_time_ms: times, connection_seconds: 90, pool_share: 0.05 }));
      script.activity.leases = [31.5, 12, 3].map((age_seconds) => ({ age_seconds, route: null, location: "jobs/night.rs:7", trace_id: "4bf92f3577b34da6a3ce929d0e0e4736" }));
      script.activity.clients = [{ id: "0123abcd", since, polls: false, version: 41, lag_seconds: 42 }];
    },
  });
  await says(page, /of requests fail/);
  await until("it knows whether this is a demo", 5_000, async () => (await page.locator("html").getAttribute("data-demo")) === String(demo));
  await until("the tables are filled", 5_000, async () => /GET \/stock/.test((await page.locator("#routes").textContent()) ?? ""));
  return { page, script };
}

for (const demo of [false, true]) {
  const kind = demo ? "demo" : "no demo";

  test(`verdict, alerts and the first two charts are on the first screen (1440 px, ${kind})`, { timeout: 30_000 }, async () => {
    const { page } = await busy({ width: 1440, height: 1000 }, demo);
    for (const selector of ["#verdict", "#alerts li:last-child", "#stats", ".chart-box >> nth=1"]) {
      const end = await bottom(page, selector);
      assert.ok(end <= 1000, `${selector} ends at ${end}`);
    }
  });

  test(`a phone shows verdict and alert first, and the rarely needed folded (360 px, ${kind})`, { timeout: 30_000 }, async () => {
    const { page } = await busy({ width: 360, height: 800 }, demo);
    assert.ok((await bottom(page, "#alerts li")) <= 800);
    const length = await pageLength(page);
    assert.ok(length <= 2500, `${length} px`);
    assert.equal(await page.locator("#leases").isVisible(), false);
    await page.getByText("Connections in use, oldest first").click();
    assert.ok(await page.locator("#leases").isVisible());
  });

  for (const [width, height] of /** @type {const} */ ([[1120, 800], [1440, 1000], [2560, 1440]])) {
    test(`no column stands mostly empty (${width} px, ${kind})`, { timeout: 30_000 }, async () => {
      const { page } = await busy({ width, height }, demo);
      const share = await shortestColumn(page);
      assert.ok(share >= 0.65, `the shortest column ends at ${Math.round(share * 100)} % of the page`);
    });
  }

  test(`a wide window is used (2560 px, ${kind})`, { timeout: 30_000 }, async () => {
    const { page } = await busy({ width: 2560, height: 1440 }, demo);
    const box = async (/** @type {string} */ selector) => (await page.locator(selector).first().boundingBox()) ?? { width: 0, height: 0 };
    assert.ok((await box("main")).width >= 2500);
    const chart = await box(".chart-box canvas");
    assert.ok(chart.height >= 200, `charts are ${chart.height} px high`);
    const length = await pageLength(page);
    assert.ok(length <= 1700, `${length} px`);
  });

  for (const width of [360, 768, 1120, 1440, 2560]) {
    test(`no text runs into another, nor with wide spacing (${width} px, ${kind})`, { timeout: 30_000 }, async () => {
      const { page } = await busy({ width, height: 1000 }, demo);
      await page.evaluate(() => document.querySelectorAll("details").forEach((fold) => (fold.open = true)));
      assert.deepEqual(await collisions(page), []);
      if (width > 360) assert.deepEqual(await page.locator("#stats dd").evaluateAll((values) => values.filter(({ clientHeight }) => clientHeight > 30).map((value) => value.textContent)), [], "figures stay on their line");
      await spaceText(page);
      assert.deepEqual(await collisions(page), [], "with the spacing of WCAG 1.4.12");
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, "nothing sticks out");
    });
  }
}

test("a folded panel on a wide window stays as the user left it", { timeout: 30_000 }, async () => {
  const { page } = await busy({ width: 1440, height: 1000 }, false);
  assert.ok(await page.locator("#leases").isVisible(), "a wide window folds nothing by itself");
  const title = page.locator("summary", { hasText: "Connections in use" });
  await title.press("Enter");
  assert.equal(await page.locator("#leases").isVisible(), false);
  await page.setViewportSize({ width: 1200, height: 900 });
  assert.equal(await page.locator("#leases").isVisible(), false);
});
