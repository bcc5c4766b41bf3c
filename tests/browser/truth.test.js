// The page says what is the matter, and nothing that is not so. The server answers what the test says (support/scripted.js).

import assert from "node:assert/strict";
import { test } from "node:test";

import { text } from "./support/page.js";
import { LOAD_REPORT, broken, headline, log, says, scriptedPages, tone, verdict } from "./support/scripted-page.js";
import { until } from "./support/until.js";

const open = scriptedPages();

test("while users fail the page never says that all is well, at any level", { timeout: 60_000 }, async () => {
  const { page, script } = await open({ prepare: ({ script }) => (script.history.samples = calmMinute()) });
  await says(page, /No request fails/);
  assert.equal(await tone(page), "calm");
  assert.equal(await page.title(), "Poolgate");
  const calmIcon = await page.locator('link[rel="icon"]').getAttribute("href");

  Object.assign(script.rates, { succeeded: 10, failed: 30 });
  script.activity.routes = [
    { route: "POST /orders", requests: 900, error_rate: 0.97, response_time_ms: null, connection_seconds: 1, pool_share: 0.1 },
    { route: "GET /products", requests: 900, error_rate: 0, response_time_ms: { p50: 5, p95: 9, p99: 12 }, connection_seconds: 9, pool_share: 0.2 },
  ];
  await says(page, /^\d+(\.\d)?% of requests fail since [\d:]+/);
  assert.equal(await page.locator("#verdict").getAttribute("data-level"), "NORMAL", "the controller sees no overload");
  assert.equal(await tone(page), "hurt");
  assert.match(await page.title(), /% fail – Poolgate$/);
  assert.notEqual(await page.locator('link[rel="icon"]').getAttribute("href"), calmIcon);
  await says(page, /Most failures: POST \/orders \(97\.0%/);
  await says(page, /App: the database responds/);
  assert.doesNotMatch(await verdict(page), /No request fails|nothing is limited/);
  await until("it says that it gets worse", 20_000, async () => /getting worse/.test(await headline(page)), () => headline(page));

  Object.assign(script.rates, { succeeded: 40, failed: 0 });
  await says(page, /No request fails/);
  assert.equal(await page.title(), "Poolgate");
});

test("requests that are not answered at all are the headline, with who holds connections", { timeout: 30_000 }, async () => {
  const { page, script } = await open();
  Object.assign(script.rates, { succeeded: 0 });
  Object.assign(script.status.gate, { in_flight: 25, waiting: 82, unanswered_seconds: 12.3 });
  script.status.pool.oldest_checkout_seconds = 12.3;
  script.activity.leases = [{ age_seconds: 12.3, route: "POST /orders", location: "shop/orders.rs:41", trace_id: null }];
  await says(page, /No request has been answered for 12 s; 107 are waiting/);
  await says(page, /a connection has been in use for 12 s by POST \/orders \(shop\/orders\.rs:41\)/);
  assert.equal(await tone(page), "hurt");
});

test("goodput counts successes", { timeout: 30_000 }, async () => {
  const { page, script } = await open();
  await until("successes show", 10_000, async () => Number(await text(page, "stats-goodput")) > 30, () => text(page, "stats-goodput"));
  Object.assign(script.rates, { succeeded: 0, failed: 20 });
  await until("none is left", 10_000, async () => (await text(page, "stats-goodput")) === "0.0", () => text(page, "stats-goodput"));
  const legend = page.locator(".legend", { hasText: "goodput" }).locator("b");
  await until("the chart's legend says the same", 5_000, async () => (await legend.innerText()) === "0.0", () => legend.innerText());
});

test("what was not measured is shown as unknown, and no traffic as no traffic", { timeout: 30_000 }, async () => {
  const { page, script } = await open();
  script.rates.succeeded = 0;
  Object.assign(script.status.performance, { response_time_ms: null, acquire_wait_ms: null, error_rate: null, pool_efficiency: null });
  script.status.gate.in_flight = 0;
  script.status.gate.unanswered_seconds = null;
  await says(page, /No requests in the last 10 s/);
  for (const key of ["failing", "response", "p95", "p99", "efficiency"]) assert.equal(await text(page, `stats-${key}`), "–", key);
});

test("a hidden tab writes no incident, and has the real past when it is seen again", { timeout: 60_000 }, async () => {
  const { page, script } = await open({ prepare: (_, page) => page.clock.install() });
  await hide(page, true);
  for (let second = 0; second < 70; second += 5) {
    await page.clock.runFor(5_000);
    await page.evaluate(() => fetch("/api/v1/health/database/status").then(() => {}));
  }
  script.history.samples = calmMinute();
  script.history.events = [{ at: new Date(Date.now() - 60_000).toISOString(), kind: "level", from: "NORMAL", to: "AGGRESSIVE", text: "rejects_high" }];
  await hide(page, false);
  await page.clock.runFor(2_000);
  await until("the log has what was missed", 10_000, async () => {
    await page.clock.runFor(500);
    return /NORMAL → AGGRESSIVE/.test(await log(page));
  }, () => log(page));
  assert.doesNotMatch(await log(page), /contact/i);
});

/** @param {Page} page @param {boolean} hidden */
function hide(page, hidden) {
  return page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
    Object.defineProperty(document, "visibilityState", { configurable: true, value: hidden ? "hidden" : "visible" });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
}

test("polls draw an unbroken past, and are no loss of contact", { timeout: 40_000 }, async () => {
  const { page } = await open({ streams: false });
  await until("it polls", 10_000, async () => /every 2 s/.test(await page.locator("#contact").innerText()), () => page.locator("#contact").innerText());
  // Five polls.
  await until("some seconds have passed", 20_000, async () => {
    const width = await page.locator("#strip .run").first().evaluate((run) => Number.parseFloat(run.style.width));
    return width > (10 / 900) * 100;
  }, () => page.locator("#strip").innerHTML());
  assert.equal(await page.locator("#strip .run").count(), 1, "one period without gaps");
  assert.doesNotMatch(await log(page), /contact/i);
});

test("a refusal and a silent server are told as what they are from the beginning", { timeout: 60_000 }, async () => {
  const { page, script } = await open({ unread: true, prepare: ({ script }) => (script.refuse = 401) });
  await says(page, /No contact with the server yet\s+Sign-in required/);
  assert.match(await log(page), /Lost contact with the server\. Sign-in required/);
  assert.match(await page.title(), /^no contact/);
  script.refuse = null;
  await says(page, /No request fails|No requests/);
});

test("stale figures keep their contrast, and nothing can be started", { timeout: 60_000 }, async () => {
  const { page, server, script } = await open({ prepare: ({ script }) => (script.load = { ...LOAD_REPORT }) });
  await page.locator("#driver-start").waitFor();
  script.silent = true;
  server.cut();
  await says(page, /No contact with the server for \d+ s\s+The server cannot be reached/);
  assert.ok(await page.locator("#driver-start").isDisabled());
  assert.match(await page.locator("#driver-state").innerText(), /whether the load still runs is unknown/);
  await page.click("#cleanup-force", { force: true });
  assert.equal(await page.locator("#cleanup-dialog").isVisible(), false);
  for (const theme of ["light", "dark"]) {
    await page.selectOption("#theme", theme);
    assert.deepEqual(await broken(page, ["color-contrast"]), [], theme);
  }
});

test("a server that comes back is told as a restart, and old errors and loads go", { timeout: 60_000 }, async () => {
  const { page, server, script } = await open({
    prepare: ({ script }) => {
      script.load = { ...LOAD_REPORT };
      script.status.throttling_level = "EMERGENCY";
    },
  });
  const without = page.locator("#comparison .without .note");
  await until("the load runs", 10_000, async () => /running/.test(await without.innerText()), () => without.innerText());
  script.silent = true;
  server.cut();
  await says(page, /No contact/);
  server.restart();
  script.status.throttling_level = "NORMAL";
  script.load = { ...LOAD_REPORT, state: "idle", request: null };
  script.silent = false;
  await says(page, /The server was restarted at/);
  await until("the log says so", 5_000, async () => /Server restarted, Poolgate 0\.1\.0/.test(await log(page)), () => log(page));
  assert.doesNotMatch(await log(page), /EMERGENCY → NORMAL/, "it is no recovery");
  await until("the load is over", 10_000, async () => /^ran/.test(await without.innerText()), () => without.innerText());
  assert.equal(await page.locator("#driver-problem").innerText(), "");
});

test("a load that could not be started is not told as started", { timeout: 30_000 }, async () => {
  const { page } = await open({ prepare: ({ script }) => (script.load = { ...LOAD_REPORT, state: "idle", request: null }) });
  await page.route("**/api/v1/lab/load", (route) => route.abort());
  await page.click("#driver-start");
  await until("the page says so", 5_000, async () => /Nothing was changed\. The server cannot be reached/.test(await page.locator("#driver-problem").innerText()));
  assert.doesNotMatch(await log(page), /Load of/);
});

test("a load that was started elsewhere sets the form, and one column runs", { timeout: 30_000 }, async () => {
  const { page, script } = await open({ prepare: ({ script }) => (script.load = { ...LOAD_REPORT }) });
  await until("the first runs", 10_000, async () => /running/.test(await page.locator("#comparison .without .note").innerText()));
  script.load = { ...LOAD_REPORT, elapsed_seconds: 1, request: { ...LOAD_REPORT.request, users: 77, poolgate: true } };
  await until("the other runs", 10_000, async () => /running/.test(await page.locator("#comparison .with .note").innerText()));
  assert.match(await page.locator("#comparison .without .note").innerText(), /^ran/);
  assert.equal(await page.locator('#driver [name="users"]').inputValue(), "77");
  assert.equal(await page.locator('.switch [value="with"]').isChecked(), true);
  assert.match(await log(page), /started elsewhere/);
});

test("pause is readable where the pointer is, and is marked", { timeout: 30_000 }, async () => {
  const { page } = await open();
  await page.click("#pause");
  await page.hover("#pause");
  assert.deepEqual(await broken(page, ["color-contrast"]), []);
  assert.match(await page.locator("#contact").innerText(), /^Paused/);
  assert.equal(await page.locator("#contact-dot").getAttribute("data-state"), "paused");
});

test("the database is down: the words say so, and no client is told that it may send", { timeout: 30_000 }, async () => {
  const { page, script } = await open();
  script.config = { ...script.config, enforced: true, circuit_breaker_open: true, reason: "database_unreachable", max_requests_per_minute: 10 };
  Object.assign(script.status, { circuit_breaker: "open", throttling_level: "EMERGENCY", health: "CRITICAL" });
  await says(page, /Database down since [\d:]+: all requests are refused/);
  assert.doesNotMatch(await verdict(page), /may send/);
  assert.match(await page.title(), /^database down/);
  assert.equal(await tone(page), "down");
});

test("a source that has not been read is unknown, not calm", { timeout: 30_000 }, async () => {
  const { page } = await open({
    prepare: ({ script }) => {
      script.status.gate = null;
      Object.assign(script.status.pool, { capacity: 0, checked_out: 0, idle: 0, usage_percent: 0 });
    },
  });
  await says(page, /The watched source has sent no figures yet/);
  assert.equal(await tone(page), "unknown");
  assert.equal(await page.locator(".tick").first().isVisible(), false);
});

test("an alert says what to do, and a resized gate is an event", { timeout: 30_000 }, async () => {
  const { page, script } = await open({
    prepare: ({ script }) => {
      script.status.pool.usage_percent = 83.3;
      script.status.alerts = [
        { kind: "pool_usage", severity: "warning", message: "connection pool usage 81.0 %", since: new Date().toISOString() },
        { kind: "login_refused", severity: "critical", message: "the login is refused", since: new Date().toISOString() },
      ];
      script.status.thresholds = { info_percent: 50, warning_percent: 60, critical_percent: 75 };
    },
  });
  const alerts = page.locator("#alerts");
  await until("they show", 5_000, async () => /83\.3% full/.test(await alerts.innerText()), () => alerts.innerText());
  const [first = "", second = ""] = await alerts.locator("li").allInnerTexts();
  assert.match(first, /critical.*login.*Check the user, the password/s, "the worst comes first");
  assert.match(second, /raised at 81\.0%.*uses most of the pool/s);
  assert.ok(((await alerts.boundingBox())?.y ?? 9999) < 600, "above the fold");
  assert.deepEqual(await page.locator("#pool-marks span").allInnerTexts(), ["50", "60", "75%"], "as the server says");
  script.status.gate.max_concurrent_requests = 18;
  await until("the log says so", 5_000, async () => /Gate resized from 25 to 18/.test(await log(page)), () => log(page));
});

test("a cleanup says what it will do, asks, takes a token, and keeps the focus", { timeout: 30_000 }, async () => {
  const { page, script } = await open();
  await page.focus("#cleanup-force");
  await page.keyboard.press("Enter");
  const dialog = page.locator("#cleanup-dialog");
  assert.match(await dialog.innerText(), /closes idle connections.*No request is ended/s);
  await page.keyboard.press("Escape");
  assert.deepEqual(script.sent, []);
  await page.keyboard.press("Enter");
  await page.fill("#cleanup-token", "a token of some length");
  await page.click("#cleanup-run");
  await until("it ran", 5_000, async () => /^Done: /.test(await page.locator("#cleanup-answer").innerText()), () => page.locator("#cleanup-answer").innerText());
  assert.deepEqual(script.sent.map(({ authorization }) => authorization), ["Bearer a token of some length"]);
  assert.equal(await page.locator("#cleanup-token").inputValue(), "");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "cleanup-force");
  assert.match(await page.locator("#cleanup").innerText(), /by a person/);
});

/** What the server remembers of a minute in which all went well. */
function calmMinute() {
  const now = Date.now();
  return Array.from({ length: 60 }, (_, second) => ({
    at: new Date(now - (60 - second) * 1000).toISOString(),
    throttling_level: "NORMAL",
    circuit_breaker: "closed",
    checked_out: 5,
    open: 20,
    capacity: 30,
    waiting: 0,
    acquire_wait_p95_ms: null,
    acquire_wait_p99_ms: null,
    admitted_per_second: 40,
    succeeded_per_second: 40,
    rejected_per_second: 0,
    failed_per_second: 0,
  }));
}
