// Charts, tables and events of the page. The server answers what the test says (support/scripted.js).

import assert from "node:assert/strict";
import { test } from "node:test";

import { log, says, scriptedPages } from "./support/scripted-page.js";
import { until } from "./support/until.js";

const open = scriptedPages();

test("the last six hours are the server's, and a gap in them is a gap", { timeout: 30_000 }, async () => {
  const { page, script } = await open();
  const at = (/** @type {number} */ minutesAgo) => new Date(Date.now() - minutesAgo * 60_000).toISOString();
  const sample = (/** @type {number} */ minutesAgo, /** @type {number} */ succeeded_per_second) => ({
    at: at(minutesAgo), throttling_level: "AGGRESSIVE", circuit_breaker: "closed", checked_out: 25, open: 28, capacity: 30,
    waiting: 7, acquire_wait_p95_ms: 40, acquire_wait_p99_ms: 90, admitted_per_second: 125, rejected_per_second: 3,
    succeeded_per_second, failed_per_second: 0,
  });
  script.hours.samples = [sample(300, 111), sample(299.5, 112), sample(200, 113), sample(0.5, 114)];
  await page.selectOption("#span", "21600");
  const chart = page.locator("#charts figure").first();
  await chart.locator("summary").click();
  const goodput = () => chart.locator("tbody td:nth-of-type(1)").allInnerTexts();
  await until("the table shows them", 10_000, async () => (await goodput()).includes("111"), goodput);
  assert.deepEqual(await goodput(), ["114", "–", "113", "–", "112", "111"]);
  assert.match((await chart.locator(".chart-box").getAttribute("aria-label")) ?? "", /last 4 h 59 min/);
  await page.selectOption("#span", "180");
  await until("back", 5_000, async () => !(await goodput()).includes("111"), goodput);
});

test("routes, connections and clients show the worst first, and say when there is none", { timeout: 30_000 }, async () => {
  const { page, script } = await open();
  for (const [id, words] of /** @type {const} */ ([["routes", /No request/], ["leases", /No connection/], ["clients", /No client/]])) {
    const shown = () => page.locator(`#${id}`).innerText();
    await until(`${id} say that there is none`, 5_000, async () => words.test(await shown()), shown);
  }
  script.status.clients.live = 9;
  script.activity.routes = [{ route: "GET /orders/{id}", requests: 1200, error_rate: 0.125, response_time_ms: { p50: 12, p95: 80, p99: 950 }, connection_seconds: 90, pool_share: 0.05 }];
  script.activity.leases = [{ age_seconds: 31.5, route: null, location: "jobs/night.rs:7", trace_id: "4bf92f3577b34da6a3ce929d0e0e4736" }];
  script.activity.clients = [{ id: "0123abcd", since: new Date().toISOString(), polls: false, version: 41, lag_seconds: 42 }];
  await until("they show", 10_000, async () => /GET \/orders/.test(await page.locator("#routes").innerText()));
  const cells = (/** @type {string} */ id) => page.locator(`#${id} tbody td`).allInnerTexts();
  assert.deepEqual(await cells("routes"), ["GET /orders/{id}", "1,200", "12.5%", "12 ms", "80 ms", "950 ms", "90 s", "5.0%"]);
  assert.deepEqual(await cells("leases"), ["32 s", "outside a request", "jobs/night.rs:7", "4bf92f35"]);
  assert.deepEqual((await cells("clients")).filter((_, at) => at !== 1), ["0123abcd", "v41", "42 s", "and 8 more"]);
});

test("a replica of a cluster shows the others, and is told as one that cannot reach them", { timeout: 30_000 }, async () => {
  const { page, script } = await open();
  const panel = page.locator("#cluster-panel");
  assert.equal(await panel.isVisible(), false, "a server alone has no cluster");

  const member = { state: "serving", share: 20, connections: 18, reaches_database: true, publishes: false, silent_seconds: 0.4 };
  const members = [{ ...member, replica: "0a1b2c3d", publishes: true }, { ...member, replica: "4e5f6a7b" }, { ...member, replica: "8c9d0e1f", state: "joining", share: null, connections: 0 }];
  script.status.cluster = { replica: "4e5f6a7b", config: "shared", share: 20, is_static: false, store_trouble: null, members };
  const shown = () => panel.innerText();
  await until("it shows", 5_000, () => panel.isVisible());
  await until("who publishes", 5_000, async () => /All replicas serve one config, which 0a1b2c3d publishes/.test(await shown()), shown);
  const rows = () => page.locator("#cluster tbody tr").allInnerTexts();
  assert.deepEqual((await rows()).map((row) => row.split("\t")), [
    ["0a1b2c3d", "serving", "18", "20", "reached", "publishes", "400 ms ago"],
    ["4e5f6a7b (this one)", "serving", "18", "20", "reached", "follows", "400 ms ago"],
    ["8c9d0e1f", "joining", "0", "none yet", "reached", "follows", "400 ms ago"],
  ]);

  Object.assign(script.status.cluster, { config: "own", share: 7, is_static: true, store_trouble: "connection refused" });
  Object.assign(members[0] ?? {}, { silent_seconds: 31, reaches_database: false });
  await until("it says so", 5_000, async () => /Replica 4e5f6a7b cannot use the store: connection refused\. .*7 connections.*a config of its own/.test(await shown()), shown);
  assert.deepEqual(await page.locator("#cluster td.bad").allInnerTexts(), ["not reached", "31 s ago"]);
  script.status.cluster = null;
  await until("it hides", 5_000, async () => !(await panel.isVisible()));
});

test("a gateway shows its app, and how it failed last", { timeout: 30_000 }, async () => {
  const { page, script } = await open();
  const panel = page.locator("#gateway-panel");
  assert.equal(await panel.isVisible(), false, "this server has no app behind it");
  script.status.gateway = {
    upstream: "http://127.0.0.1:8001", trouble: null, answered_total: 1234, failed_total: 0, last_failure: null,
    streams: 3, max_streams: 10_000, buffered_bytes: 3_355_443, lingering_permits: 1,
  };
  const shown = () => page.locator("#gateway dd").allInnerTexts();
  await until("it shows", 5_000, async () => (await shown()).includes("1,234"), shown);
  assert.deepEqual(await shown(), ["http://127.0.0.1:8001", "can be used", "1,234", "0", "none", "3 of at most 10,000", "3.2 MiB", "1 permit"]);
  const trouble = "the app cannot be connected to: Connection refused (os error 111)";
  Object.assign(script.status.gateway, { trouble, failed_total: 7, last_failure: { kind: "connection_refused", seconds_ago: 4.2 } });
  await until("it says so", 5_000, async () => (await shown()).includes(trouble), shown);
  assert.deepEqual((await shown()).slice(3, 5), ["7", "connection_refused, 4 s ago"]);
  Object.assign(script.status, { circuit_breaker: "open", throttling_level: "EMERGENCY" });
  await says(page, /^App down since [\d:]+: all requests are refused/);
  await says(page, /The app cannot be connected to: Connection refused/);
  await says(page, /listens at http:\/\/127\.0\.0\.1:8001/);
});

test("events can be filtered, and an empty list cannot be saved", { timeout: 30_000 }, async () => {
  const { page, script } = await open();
  assert.ok(await page.locator("#log-save").isDisabled());
  script.status.gate.max_concurrent_requests = 18;
  await until("an event", 5_000, async () => /Gate resized/.test(await log(page)));
  await page.selectOption("#log-filter", "alert");
  assert.match(await log(page), /No event of this kind/);
  await page.selectOption("#log-filter", "gate");
  assert.match(await log(page), /Gate resized/);
  assert.ok(await page.locator("#log-save").isEnabled());
});
