// The page keeps still while it loads, and can be read by everyone.

import assert from "node:assert/strict";
import { test } from "node:test";

import { LOAD_REPORT, broken, says, scriptedPages } from "./support/scripted-page.js";
import { until } from "./support/until.js";

const open = scriptedPages();

for (const width of [1440, 360]) {
  for (const demo of [false, true]) {
    test(`nothing moves while the page loads (${width} px, ${demo ? "demo" : "no demo"})`, { timeout: 30_000 }, async () => {
      const { page } = await open({
        context: { viewport: { width, height: 900 } },
        prepare: async ({ script }, page) => {
          if (demo) script.load = { ...LOAD_REPORT };
          await page.addInitScript(watchShifts);
          // As over a slow line.
          await page.route("**/api/**", async (route) => {
            await new Promise((later) => setTimeout(later, 300));
            await route.continue();
          });
        },
      });
      await page.waitForFunction(() => document.documentElement.dataset["demo"] !== undefined);
      await until("the charts are drawn", 10_000, async () => /goodput/.test((await page.locator(".chart-box").first().getAttribute("aria-label")) ?? ""));
      const { sum, shifts } = await page.evaluate(() => Reflect.get(window, "shifts"));
      assert.ok(sum <= 0.05, `${sum}: ${JSON.stringify(shifts)}`);
    });
  }
}

test("with forced colors the chosen mode and the series can be told apart", { timeout: 30_000 }, async () => {
  const { page } = await open({ context: { forcedColors: "active" }, prepare: ({ script }) => (script.load = { ...LOAD_REPORT }) });
  await page.locator("#driver-start").waitFor();
  const style = (/** @type {string} */ selector, /** @type {string} */ name) =>
    page.locator(selector).first().evaluate((element, name) => getComputedStyle(element).getPropertyValue(name), name);
  assert.equal(await style(".switch :checked + span", "outline-style"), "solid");
  assert.notEqual(await style(".switch :not(:checked) + span", "outline-style"), "solid");
  assert.notEqual(await style(".line.rejected", "background-color"), await style(".line.admitted", "background-color"));
});

test("axe finds nothing while users fail, in both themes, at 360 px", { timeout: 60_000 }, async () => {
  const { page, script } = await open({
    context: { viewport: { width: 360, height: 800 } },
    prepare: ({ script }) => {
      script.load = { ...LOAD_REPORT };
      Object.assign(script.rates, { failed: 40 });
      script.status.alerts = [{ kind: "login_refused", severity: "critical", message: "the login is refused", since: new Date().toISOString() }];
      script.activity.routes = [{ route: "GET /orders/{id}", requests: 12, error_rate: 0.5, response_time_ms: null, connection_seconds: 90, pool_share: 0.05 }];
    },
  });
  await says(page, /of requests fail/);
  assert.equal(script.refuse, null);
  for (const theme of ["light", "dark"]) {
    await page.selectOption("#theme", theme);
    assert.deepEqual(await broken(page), [], theme);
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, "nothing sticks out");
  }
});

/** Sums up layout shifts without user input (the browser's own measure). Runs in the page. */
function watchShifts() {
  const seen = { sum: 0, shifts: /** @type {unknown[]} */ ([]) };
  Reflect.set(window, "shifts", seen);
  new PerformanceObserver((list) => {
    for (const entry of /** @type {any[]} */ (list.getEntries())) {
      seen.sum += entry.value;
      seen.shifts.push([entry.value, entry.sources.map((/** @type {any} */ { node }) => node?.id || node?.className || node?.nodeName)]);
    }
  }).observe({ type: "layout-shift", buffered: true });
}
