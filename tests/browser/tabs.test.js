// The tabs of one browser act as one client, with one event stream, one rate and one concurrency limit, while tabs come
// and go.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { launch } from "./support/browser.js";
import { startOrigin } from "./support/origin.js";
import { until } from "./support/until.js";

/** @typedef {import("playwright-core").Page} Page */

/** @type {import("./support/origin.js").Origin} */
let origin;
/** @type {import("playwright-core").Browser} */
let browser;
/** @type {import("playwright-core").BrowserContext} */
let context;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

beforeEach(async (t) => {
  origin = await startOrigin();
  context = await browser.newContext();
  /** @type {any} */ (t).after(async () => {
    await context.close();
    await origin.stop();
  });
});

test("two tabs have one stream, one config and one rate", { timeout: 60_000 }, async (t) => {
  const pages = [await open(), await open()];
  await until("one leads, one follows", 5000, async () => `${(await transports(pages)).sort()}` === "shared,sse");
  assert.equal(origin.open(), 1);
  origin.limit({ fair_rate_per_second: 20, max_concurrent_requests: 5 });
  await until("both obey", 2000, async () => (await states(pages)).every(({ ratePerSecond }) => ratePerSecond === 20));
  await Promise.all(pages.map((page, index) => send(page, 200, `${index}`)));
  await until("both send", 5000, () => ["0", "1"].every((page) => arrived(page) > 3));
  origin.reset();
  await sleep(4000);
  const counts = ["0", "1"].map(arrived);
  t.diagnostic(`arrived in 4 s at 20/s: ${counts}; at most ${origin.seen.most} at a time`);
  const total = counts[0] + counts[1];
  assert.ok(total > 55 && total < 100, `${total} in 4 s at 20 a second`);
  assert.ok(Math.min(...counts) > total / 4, `each tab has its share: ${counts}`);
  assert.ok(origin.seen.most <= 5);
  assert.deepEqual([origin.seen.streams, origin.seen.mostStreams], [0, 1]);
});

test("no slot is used twice at a time, and every tab gets a turn", { timeout: 60_000 }, async (t) => {
  origin.limit({ fair_rate_per_second: 100, max_concurrent_requests: 1 });
  const pages = [await open(), await open(), await open()];
  await Promise.all(pages.map((page, index) => send(page, 60, `${index}`)));
  await until("all have arrived", 20_000, () => origin.seen.app.length === 180, () => origin.seen);
  const firstDone = origin.seen.app.findIndex(({ page }, index) => page !== origin.seen.app[0]?.page && index > 0);
  t.diagnostic(`at most ${origin.seen.most} at a time; the second tab after ${firstDone} requests`);
  assert.equal(origin.seen.most, 1);
  assert.ok(firstDone < 60, "no tab waits until another one is done");
});

for (const role of ["leader", "follower"]) {
  for (const end of /** @type {const} */ (["closes", "crashes"])) {
    test(`a ${role} that ${end} gives its share back`, { timeout: 60_000 }, async (t) => {
      // Slots are scarce, and the tab that ends cannot give any back: its requests never end.
      origin.limit({ fair_rate_per_second: 1000, max_concurrent_requests: 4 });
      origin.work.ms = 5000;
      const pages = [await open(), await open()];
      await settled(pages);
      const [leader, follower] = /** @type {[Page, Page]} */ (await leaderFirst(pages));
      const [gone, stays] = role === "leader" ? [leader, follower] : [follower, leader];
      await send(gone, 30, "gone");
      await until("it holds all slots", 5000, () => arrived("gone") === 4);
      await send(stays, 30, "stays");
      await sleep(400);
      assert.equal(arrived("stays"), 0, "no slot is left for it");
      const at = Date.now();
      await (end === "closes" ? gone.close() : crash(gone));
      await until("the other tab continues", 5000, () => arrived("stays") > 0);
      const took = (origin.seen.app.find(({ page }) => page === "stays")?.at ?? Infinity) - at;
      t.diagnostic(`its slots were used again after ${took} ms`);
      assert.ok(took < 1000, `${took} ms`);
    });
  }
}

test("a leader whose script hangs is replaced", { timeout: 60_000 }, async (t) => {
  origin.limit({ fair_rate_per_second: 100, max_concurrent_requests: 4 });
  const pages = [await open(), await open()];
  await settled(pages);
  const [leader, follower] = /** @type {[Page, Page]} */ (await leaderFirst(pages));
  const hanging = leader.evaluate(() => {
    for (const end = performance.now() + 2500; performance.now() < end; );
  });
  const at = Date.now();
  await send(follower, 20, "goes on");
  await until("the other tab sends", 5000, () => arrived("goes on") === 20);
  t.diagnostic(`${Date.now() - at} ms for 20 requests`);
  assert.ok(Date.now() - at < 2000);
  await hanging;
  await until("one leads, one follows", 5000, async () => `${(await transports(pages)).sort()}` === "shared,sse");
  await until("one stream is left", 5000, () => origin.open() === 1);
});

test("a leader that hangs for ever is replaced by an idle tab", { timeout: 90_000 }, async (t) => {
  origin.limit({ fair_rate_per_second: 100, max_concurrent_requests: 4 });
  const pages = [await open(), await open()];
  await settled(pages);
  const [leader, follower] = /** @type {[Page, Page]} */ (await leaderFirst(pages));
  await hang(leader);
  const at = Date.now();
  await until("the other tab leads", 40_000, async () => `${await transports([follower])}` === "sse");
  t.diagnostic(`after ${Date.now() - at} ms`);
  origin.limit({ fair_rate_per_second: 50, max_concurrent_requests: 4 });
  await until("it receives the new config", 5000, async () => (await states([follower]))[0]?.ratePerSecond === 50);
  await send(follower, 20, "goes on");
  await until("it sends", 5000, () => arrived("goes on") === 20);
});

test("tabs that wait for an open breaker do not change the leader", { timeout: 60_000 }, async (t) => {
  const pages = [await open(), await open(), await open()];
  await settled(pages);
  const talk = await listen();
  origin.limit({ throttling_level: "EMERGENCY", circuit_breaker_open: true, max_concurrent_requests: 1 });
  await until("all know", 5000, async () => (await states(pages)).every(({ breaker }) => breaker === "open"));
  for (const page of pages) await keepSending(page);
  const { leaders, perSecond } = await talk.during(4000);
  t.diagnostic(`${leaders} leaders, ${perSecond} messages a second`);
  assert.ok(leaders <= 1, `${leaders} leaders`);
  assert.ok(perSecond < 50, `${perSecond} messages a second`);
});

test("a leader that does not know the limit yet is not replaced by tabs that know it", { timeout: 60_000 }, async (t) => {
  // Without a stream each tab learns of the limit from the header of its own response, and the leader has none.
  const pages = [await open({ transport: "poll" }), await open({ transport: "poll" }), await open({ transport: "poll" })];
  await until("one leads", 5000, async () => `${(await transports(pages)).sort()}` === "poll,shared,shared");
  const followers = (await transports(pages)).flatMap((kind, index) => (kind === "shared" ? [pages[index]] : []));
  const talk = await listen();
  // It cannot poll either: the header is the only source.
  origin.files["/api/v1/health/database/throttling-config"] = () => {};
  origin.limit({ fair_rate_per_second: 20, max_concurrent_requests: 2 });
  for (const page of followers) await keepSending(/** @type {Page} */ (page));
  const { leaders, perSecond } = await talk.during(4000);
  t.diagnostic(`${leaders} leaders, ${perSecond} messages a second, ${origin.seen.app.length} requests in 4 s at 20 a second`);
  assert.equal(leaders, 0, "no other tab has begun to lead");
  assert.ok(perSecond < 50, `${perSecond} messages a second`);
  assert.ok(origin.seen.app.length > 40 && origin.seen.app.length < 130, `${origin.seen.app.length} requests`);
  assert.ok((await states(pages)).every(({ enforced }) => enforced), "all know");
});

test("a worker shares with its page", { timeout: 60_000 }, async () => {
  origin.files["/worker.js"] = `
    import { createClient } from "/pkg/index.js";
    const client = await createClient();
    const send = () => Array.from({ length: 30 }, (_, n) => client.fetch("/app/" + n + "?page=worker"));
    onmessage = async () => { await Promise.allSettled(send()); postMessage(client.state.transport); };
    client.addEventListener("config", () => postMessage("knows"), { once: true });
    if (client.state.config) postMessage("knows");
  `;
  origin.limit({ fair_rate_per_second: 200, max_concurrent_requests: 1 });
  const page = await open();
  await page.evaluate(async () => {
    const worker = Object.assign(window, { worker: new Worker("/worker.js", { type: "module" }) }).worker;
    await new Promise((resolve) => (worker.onmessage = resolve));
  });
  await send(page, 30, "page");
  const transport = await page.evaluate(async () => {
    const { worker } = /** @type {any} */ (window);
    worker.postMessage("go");
    return (await new Promise((resolve) => (worker.onmessage = resolve))).data;
  });
  assert.equal(transport, "shared");
  await until("all have arrived", 10_000, () => origin.seen.app.length === 60, () => origin.seen);
  assert.deepEqual([origin.seen.most, origin.seen.mostStreams], [1, 1]);
});

test("a tab of another version neither follows nor leads, and both obey", { timeout: 60_000 }, async (t) => {
  const current = await open();
  const old = await open({}, "/", async (page) => {
    // As after a deploy: this tab still has scripts that speak another protocol.
    await page.route("**/tabs/protocol.js", async (route) => {
      const script = await (await route.fetch()).text();
      const changed = script.replace("const VERSION = 1;", "const VERSION = 0;");
      assert.notEqual(changed, script);
      await route.fulfill({ contentType: "text/javascript", body: changed });
    });
  });
  const pages = [current, old];
  await until("each leads itself", 5000, async () => `${await transports(pages)}` === "sse,sse");
  assert.equal(origin.open(), 2);
  origin.limit({ fair_rate_per_second: 1000, max_concurrent_requests: 2 });
  await until("both know the limit", 5000, async () => (await states(pages)).every(({ enforced }) => enforced));
  origin.work.ms = 100;
  await Promise.all(pages.map((page, index) => send(page, 20, `${index}`)));
  await until("all have arrived", 10_000, () => origin.seen.app.length === 40, () => origin.seen);
  t.diagnostic(`at most ${origin.seen.most} at a time`);
  assert.equal(origin.seen.most, 4, "each has its own two slots");
  await current.close();
  await send(old, 2, "later");
  await until("the other one goes on", 5000, () => arrived("later") === 2);
  assert.deepEqual(await transports([old]), ["sse"]);
});

test("a client that does not share has its own stream, and one without Web Locks polls", { timeout: 60_000 }, async () => {
  const alone = await open({ shareAcrossTabs: false });
  await until("it streams", 5000, async () => `${await transports([alone])}` === "sse");
  await alone.close();
  await context.addInitScript(() => Object.defineProperty(navigator, "locks", { value: undefined }));
  const old = await open();
  assert.deepEqual(await transports([old]), ["poll"]);
});

test("if locks are refused, each tab limits itself", { timeout: 60_000 }, async () => {
  origin.limit({ fair_rate_per_second: 20, max_concurrent_requests: 2 });
  await context.addInitScript(() => {
    LockManager.prototype.request = () => Promise.reject(new DOMException("refused", "SecurityError"));
  });
  const page = await open();
  await until("it limits", 5000, async () => (await states([page])).every(({ enforced }) => enforced));
  await send(page, 200, "alone");
  await sleep(2000);
  assert.ok(arrived("alone") > 20 && arrived("alone") < 60, `${arrived("alone")} in 2 s at 20 a second`);
  assert.ok(origin.seen.most <= 2);
  await page.close();

  const back = await open();
  await until("it limits", 5000, async () => (await states([back])).every(({ enforced }) => enforced));
  await back.evaluate(() => {
    void (/** @type {any} */ (window).client.fetch("/app/on-its-way"));
    for (const type of ["freeze", "resume", "visibilitychange"]) document.dispatchEvent(new Event(type));
  });
  // Long enough for a following tab to give back the slots that it does not need.
  await sleep(3500);
  await send(back, 2, "later");
  await until("the frozen tab continues", 5000, () => arrived("later") === 2);
});

/**
 * A tab with a client.
 * @param {object} [options]
 * @param {string} [path]
 * @param {(page: Page) => Promise<void>} [prepare]
 */
async function open(options = {}, path = "/", prepare) {
  const page = await context.newPage();
  await prepare?.(page);
  page.setDefaultTimeout(10_000);
  page.on("console", (message) => process.env.VERBOSE && console.log(message.text()));
  page.on("pageerror", (error) => console.log(error));
  await page.goto(`${origin.url}${path}#${encodeURIComponent(JSON.stringify(options))}`);
  await page.waitForFunction(() => /** @type {any} */ (window).client?.state.config);
  return page;
}

/**
 * Starts requests, all at once.
 * @param {Page} page
 * @param {number} count
 * @param {string} name
 */
function send(page, count, name) {
  return page.evaluate(
    ([count, name]) => {
      const { client } = /** @type {any} */ (window);
      for (let index = 0; index < Number(count); index += 1)
        client.fetch(`/app/${Math.random()}?page=${name}`).catch(() => {});
    },
    [count, name],
  );
}

/** @param {string} name */
function arrived(name) {
  return origin.seen.app.filter(({ page }) => page === name).length;
}

/** @param {Page[]} pages */
function states(pages) {
  return Promise.all(pages.map((page) => page.evaluate(() => /** @type {any} */ (window).client.state)));
}

/**
 * Waits until all tabs know the config from one stream.
 * @param {Page[]} pages
 */
async function settled(pages) {
  await until("all know the config", 5000, async () => (await states(pages)).every(({ config }) => config !== null));
  await until("there is one stream", 5000, () => origin.open() === 1);
}

/** @param {Page[]} pages */
async function leaderFirst(pages) {
  const kinds = await transports(pages);
  const leads = kinds.indexOf("sse");
  assert.deepEqual(kinds.filter((kind) => kind !== "shared"), ["sse"]);
  return [pages[leads], ...pages.filter((_, index) => index !== leads)];
}

/**
 * Kills the page's renderer.
 * @param {Page} page
 */
async function crash(page) {
  const devtools = await context.newCDPSession(page);
  const crashed = page.waitForEvent("crash");
  devtools.send("Page.crash").catch(() => {});
  await crashed;
}

/**
 * Blocks the page's script for ever.
 * @param {Page} page
 */
async function hang(page) {
  await page.evaluate(() => void setTimeout(() => { for (;;); }, 0));
}

/**
 * Keeps sending more than is allowed and ignores the results.
 * @param {Page} page
 */
function keepSending(page) {
  return page.evaluate(() => {
    const { client } = /** @type {any} */ (window);
    setInterval(() => void client.fetch(`/app/${Math.random()}`).catch(() => {}), 20);
  });
}

/** Records the messages between tabs. */
async function listen() {
  origin.files["/listen.html"] = "<!doctype html><title>listens</title>";
  const page = await context.newPage();
  await page.goto(`${origin.url}/listen.html`);
  await page.evaluate((server) => {
    /** @type {any[]} */
    const heard = [];
    const channel = new BroadcastChannel(`poolgate 1 ${server}/`);
    channel.onmessage = ({ data }) => heard.push(data);
    Object.assign(window, { channel, heard });
  }, origin.url);
  return {
    /**
     * Number of tabs that announced that they lead, and number of messages.
     * @param {number} ms
     */
    async during(ms) {
      await sleep(ms);
      const heard = /** @type {any[]} */ (await page.evaluate("heard"));
      const terms = new Set(heard.flatMap(({ lead }) => (lead ? [lead.term] : [])));
      return { leaders: terms.size, perSecond: Math.round((heard.length * 1000) / ms) };
    },
  };
}

/** @param {Page[]} pages */
async function transports(pages) {
  return (await states(pages)).map(({ transport }) => transport);
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
