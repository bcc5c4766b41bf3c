// Hidden tabs, frozen tabs and tabs in the back/forward cache: none of them holds up the visible one.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { startChromium } from "./support/devtools.js";
import { startOrigin } from "./support/origin.js";
import { until } from "./support/until.js";

/** @typedef {import("./support/devtools.js").Tab} Tab */

/** @type {import("./support/origin.js").Origin} */
let origin;
/** @type {import("./support/devtools.js").Chromium} */
let chromium;
/** @type {Tab[]} */
let tabs = [];

before(async () => {
  chromium = await startChromium();
});

after(() => chromium?.stop());

beforeEach(async () => {
  origin = await startOrigin({ "/elsewhere.html": "<!doctype html><title>elsewhere</title>" });
});

afterEach(async () => {
  await Promise.all(tabs.map((tab) => tab.close().catch(() => {})));
  tabs = [];
  await origin.stop();
});

test("the visible tab leads", { timeout: 60_000 }, async (t) => {
  const first = await open();
  await until("it streams", 5000, async () => (await transport(first)) === "sse");
  const second = await open();
  assert.equal(await first.evaluate("document.visibilityState"), "hidden");
  await until("the visible tab leads", 5000, async () => (await transport(second)) === "sse");
  await until("the hidden one follows", 5000, async () => (await transport(first)) === "shared");
  await first.show();
  await until("it leads again", 5000, async () => (await transport(first)) === "sse");
  await until("there is one stream", 5000, () => origin.open() === 1);
  t.diagnostic(`streams opened: ${origin.seen.streams}, at the same time at most ${origin.seen.mostStreams}`);
});

test("a busy hidden tab leaves the visible one its share", { timeout: 60_000 }, async (t) => {
  origin.limit({ fair_rate_per_second: 40, max_concurrent_requests: 4 });
  const hidden = await open();
  await send(hidden, 250, "hidden");
  await until("it sends", 5000, () => arrived("hidden") > 10);
  const front = await open();
  const at = Date.now();
  await send(front, 220, "front");
  await until("the visible tab sends", 5000, () => arrived("front") > 0);
  const first = (origin.seen.app.find(({ page }) => page === "front")?.at ?? Infinity) - at;
  await sleep(500);
  origin.reset();
  await sleep(2000);
  t.diagnostic(`first after ${first} ms; then in 2 s ${arrived("front")} in front, ${arrived("hidden")} hidden`);
  assert.ok(first < 1000);
  assert.ok(arrived("front") > 1.5 * arrived("hidden"));
  assert.ok(origin.seen.most <= 4);
});

test("a frozen leader does not hold up other tabs", { timeout: 60_000 }, async (t) => {
  origin.limit({ fair_rate_per_second: 50, max_concurrent_requests: 4 });
  const [follower, leader] = [await open(), await open()];
  await until("one leads", 5000, async () => (await transport(leader)) === "sse");
  await until("one follows", 5000, async () => (await transport(follower)) === "shared");
  await open("about:blank");
  await send(leader, 250, "frozen");
  await send(follower, 250, "awake");
  await until("both send", 5000, () => arrived("frozen") > 3 && arrived("awake") > 3);
  assert.equal(await transport(leader), "sse", "it leads, although it is hidden");
  await leader.call("Page.setWebLifecycleState", { state: "frozen" });
  origin.reset();
  const at = Date.now();
  await follower.show();
  await until("the other tab sends", 5000, () => arrived("awake") > 20);
  const first = (origin.seen.app.find(({ page }) => page === "awake")?.at ?? Infinity) - at;
  t.diagnostic(`first request after ${first} ms`);
  assert.ok(first < 1500);
  await until("it leads", 5000, async () => (await transport(follower)) === "sse");
});

test("a frozen follower does not hold up other tabs", { timeout: 60_000 }, async (t) => {
  origin.limit({ fair_rate_per_second: 50, max_concurrent_requests: 4 });
  const follower = await open();
  await send(follower, 250, "frozen");
  await until("it sends", 5000, () => arrived("frozen") > 10);
  const other = await open();
  await until("the visible tab leads", 5000, async () => (await transport(other)) === "sse");
  await other.call("Page.setWebLifecycleState", { state: "active" });
  await follower.call("Page.setWebLifecycleState", { state: "frozen" });
  await sleep(300);
  origin.reset();
  const at = Date.now();
  await send(other, 50, "awake");
  await until("the other tab sends", 5000, () => arrived("awake") > 20);
  const first = (origin.seen.app.find(({ page }) => page === "awake")?.at ?? Infinity) - at;
  t.diagnostic(`first request after ${first} ms; the frozen page sent ${arrived("frozen")}`);
  assert.ok(first < 1500);
  assert.equal(arrived("frozen"), 0, "it is frozen");
  await follower.show();
  await follower.call("Page.setWebLifecycleState", { state: "active" });
  await until("the thawed page continues", 10_000, () => arrived("frozen") > 0);
  await until("there is one stream", 5000, () => origin.open() === 1);
});

test("a frozen follower does not queue for the lead", { timeout: 60_000 }, async () => {
  const follower = await open();
  const leader = await open();
  await until("one leads", 5000, async () => (await transport(leader)) === "sse");
  const waiting = () =>
    leader.evaluate(`navigator.locks.query().then(({ pending }) => pending.filter(({ name }) => name.endsWith("leader")).length)`);
  await until("the other tab queues for the lead", 5000, async () => (await waiting()) === 1);
  await follower.call("Page.setWebLifecycleState", { state: "frozen" });
  await until("it waits no longer", 5000, async () => (await waiting()) === 0);
  await follower.call("Page.setWebLifecycleState", { state: "active" });
  await until("it waits again", 5000, async () => (await waiting()) === 1);
});

test("a hidden leader that is frozen is replaced by another hidden tab", { timeout: 90_000 }, async (t) => {
  const [first, second] = [await open(), await open()];
  await open("about:blank");
  await until("the second leads", 5000, async () => (await transport(second)) === "sse");
  await second.call("Page.setWebLifecycleState", { state: "frozen" });
  const at = Date.now();
  await until("the first leads", 65_000, async () => /sse|poll/.test(await transport(first)));
  t.diagnostic(`after ${Date.now() - at} ms`);
});

for (const [what, end] of /** @type {[string, (leader: Tab) => Promise<unknown>][]} */ ([
  ["crashes", async (leader) => void leader.call("Page.crash").catch(() => {})],
  ["hangs", (leader) => leader.evaluate("setTimeout(() => { for (;;); }, 0)")],
  ["is frozen unawares", (leader) => leader.call("Page.setWebLifecycleState", { state: "frozen" })],
])) {
  test(`a hidden leader that ${what} is replaced by another hidden tab`, { timeout: 90_000 }, async (t) => {
    const first = await open();
    const second = await open("about:blank");
    const source = `document.addEventListener("freeze", (event) => event.stopImmediatePropagation(), true)`;
    await second.call("Page.addScriptToEvaluateOnNewDocument", { source });
    await second.call("Page.navigate", { url: `${origin.url}/#{}` });
    await until("the second leads", 5000, async () => (await transport(second).catch(() => "")) === "sse");
    await until("the first follows", 5000, async () => (await transport(first)) === "shared");
    await open("about:blank");
    await end(second);
    const at = Date.now();
    await until("the first leads", 65_000, async () => /sse|poll/.test(await transport(first)));
    t.diagnostic(`after ${Date.now() - at} ms`);
  });
}

test("a hidden idle page holds no lock", { timeout: 60_000 }, async () => {
  const page = await open("about:blank");
  // One minute takes one second here.
  const source = `{ const set = setTimeout; setTimeout = (act, ms, ...rest) => set(act, ms === 60_000 ? 1000 : ms, ...rest); }`;
  await page.call("Page.addScriptToEvaluateOnNewDocument", { source });
  await page.call("Page.navigate", { url: `${origin.url}/#{}` });
  await until("it leads", 5000, async () => (await transport(page).catch(() => "")) === "sse");
  const locks = () => page.evaluate("navigator.locks.query().then(({ held, pending }) => held.length + pending.length)");
  const front = await open("about:blank");
  await page.evaluate(`window.busy = setInterval(() => void client.fetch("/app/" + Math.random()), 100)`);
  await sleep(2500);
  assert.equal(await locks(), 2, "it has a request");
  await page.evaluate("clearInterval(busy)");
  await until("it has left", 10_000, async () => (await locks()) === 0);
  await until("its stream is closed", 5000, () => origin.open() === 0);

  origin.limit({ fair_rate_per_second: 50, max_concurrent_requests: 1 });
  await send(page, 1, "wakes it");
  await until("a request starts it again", 10_000, async () => (await locks()) === 2);
  await until("it knows the limit", 5000, () => page.evaluate("client.state.enforced"));
  origin.reset();
  await send(page, 20, "woken");
  await until("all are sent", 10_000, () => arrived("woken") === 20);
  assert.equal(origin.seen.most, 1);
  await until("it has left again", 10_000, async () => (await locks()) === 0);
  await front.close();
  await page.show();
  await until("it leads again", 5000, async () => (await transport(page)) === "sse");
  assert.equal(await locks(), 2);
});

test("a page returns from the back/forward cache and takes part again", { timeout: 60_000 }, async () => {
  origin.limit({ fair_rate_per_second: 50, max_concurrent_requests: 4 });
  const page = await open();
  await page.evaluate("window.kept = true");
  await until("it streams", 5000, async () => (await transport(page)) === "sse");
  await page.call("Page.navigate", { url: `${origin.url}/elsewhere.html` });
  await until("it is left", 5000, () => origin.open() === 0);
  await page.evaluate("history.back()");
  await until("it is back", 5000, () => page.evaluate("window.client !== undefined").catch(() => false));
  const reasons = `performance.getEntriesByType("navigation")[0].notRestoredReasons`;
  assert.equal(await page.evaluate("window.kept === true"), true, JSON.stringify(await page.evaluate(reasons)));
  assert.equal(await page.evaluate(reasons), null);
  await until("it streams again", 5000, async () => (await transport(page)) === "sse");
  await send(page, 5, "back");
  await until("it sends", 5000, () => arrived("back") === 5);
});

test("a follower returns from the back/forward cache too", { timeout: 60_000 }, async () => {
  origin.limit({ fair_rate_per_second: 50, max_concurrent_requests: 4 });
  const follower = await open();
  const leader = await open();
  await until("one leads", 5000, async () => (await transport(leader)) === "sse");
  await until("one follows", 5000, async () => (await transport(follower)) === "shared");
  await follower.evaluate("window.kept = true");
  await follower.call("Page.navigate", { url: `${origin.url}/elsewhere.html` });
  await until("it is left", 5000, () => follower.evaluate("document.title === 'elsewhere'").catch(() => false));
  await follower.evaluate("history.back()");
  await until("it is back", 5000, () => follower.evaluate("window.client !== undefined").catch(() => false));
  const reasons = await follower.evaluate(`performance.getEntriesByType("navigation")[0].notRestoredReasons`);
  assert.equal(await follower.evaluate("window.kept === true"), true, JSON.stringify(reasons));
  assert.equal(reasons, null);
  await until("it follows again", 5000, async () => (await transport(follower)) === "shared");
  await send(follower, 5, "back");
  await until("it sends", 5000, () => arrived("back") === 5);
});

test("keepalive requests start when the page is left", { timeout: 60_000 }, async () => {
  origin.limit({ fair_rate_per_second: 0.1, max_concurrent_requests: 1 });
  const page = await open();
  await until("limits", 5000, () => page.evaluate("client.state.enforced"));
  await send(page, 3, "lost");
  await page.evaluate(`void client.fetch("/app/log?page=kept", { method: "POST", keepalive: true, body: "x" })`);
  const before = arrived("lost");
  assert.equal(arrived("kept"), 0);
  await page.call("Page.navigate", { url: "about:blank" });
  await until("it arrives", 5000, () => arrived("kept") === 1);
  await sleep(300);
  assert.equal(arrived("lost"), before);
});

test("keepalive requests outlive their page up to the browser's limit, and others follow", { timeout: 60_000 }, async (t) => {
  origin.limit({ fair_rate_per_second: 0.1, max_concurrent_requests: 1 });
  const page = await open();
  await until("limits", 5000, () => page.evaluate("client.state.enforced"));
  await send(page, 1, "first");
  await page.evaluate(`void Array.from({ length: 10 }, (_, index) =>
    client.fetch("/app/log" + index + "?page=kept", { method: "POST", keepalive: true, body: "x".repeat(10_000) }).catch(() => {}))`);
  // The page stays, so that its script continues; what the browser does after it is not tested here.
  await page.evaluate("dispatchEvent(new Event('pagehide'))");
  await until("all arrive", 10_000, () => arrived("kept") === 10, () => arrived("kept"));
  t.diagnostic("ten of 10 KB, where the browser takes 64 KiB together");
});

test("requests that wait for a retry or for their route start when the page is left", { timeout: 60_000 }, async () => {
  /** @type {string[]} */
  const seen = [];
  origin.files["/app/busy"] = ({ url = "", method = "" }, response) => {
    seen.push(`${method} ${url}`);
    response.writeHead(429, { "retry-after": "20" }).end();
  };
  const page = await open(`${origin.url}/#${encodeURIComponent('{"retries":1,"honourForeignLimits":true}')}`);
  await page.evaluate(`void client.fetch("/app/busy?again", { keepalive: true }).catch(() => {})`);
  await until("it was refused", 5000, () => seen.length === 1);
  await until("it waits", 5000, async () => (await page.evaluate("client.state.queued")) === 1);
  await page.evaluate(`void client.fetch("/app/busy?lost").catch(() => {})`);
  await page.evaluate(`void client.fetch("/app/busy?kept", { method: "POST", keepalive: true, body: "x" }).catch(() => {})`);
  await until("all wait", 5000, async () => (await page.evaluate("client.state.queued")) === 3);
  await page.call("Page.navigate", { url: "about:blank" });
  await until("they arrive", 5000, () => seen.length === 3);
  await sleep(300);
  assert.deepEqual(seen.slice(1).sort(), ["GET /app/busy?again", "POST /app/busy?kept"]);
});

/** A tab in the foreground, with a client. */
async function open(url = `${origin.url}/#${encodeURIComponent("{}")}`) {
  const tab = await chromium.open(url);
  tabs.push(tab);
  if (url !== "about:blank") {
    const there = () => tab.evaluate("Boolean(window.client?.state.config)").catch(() => false);
    await until("the page knows its config", 10_000, there);
  }
  return tab;
}

/**
 * Starts requests, all at once.
 * @param {Tab} tab
 * @param {number} count
 * @param {string} name
 */
function send(tab, count, name) {
  const one = `client.fetch("/app/" + Math.random() + "?page=${name}").catch(() => {})`;
  return tab.evaluate(`for (let index = 0; index < ${count}; index += 1) ${one}; void 0`);
}

/** @param {Tab} tab */
function transport(tab) {
  return tab.evaluate("client.state.transport");
}

/** @param {string} name */
function arrived(name) {
  return origin.seen.app.filter(({ page }) => page === name).length;
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
