// The event stream with the browser's EventSource: events act at once, and a broken stream is opened again.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, test } from "node:test";

import { launch } from "./support/browser.js";
import { startOrigin } from "./support/origin.js";
import { until } from "./support/until.js";

const EVENTS = "/api/v1/health/database/events";
const golden = (/** @type {string} */ name) => readFileSync(new URL(`../fixtures/config-${name}.json`, import.meta.url), "utf8");
const NORMAL = golden("normal");
const MODERATE = golden("moderate");
const EPOCH = JSON.parse(NORMAL).epoch;

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {{ url: string, isOpen: boolean, say: (event: string, data: string) => void, breaks: () => void }} Stream */

/** @type {import("./support/origin.js").Origin} */
let origin;
/** @type {import("playwright-core").Browser} */
let browser;
/** All requested streams, in order. @type {Stream[]} */
let streams;
/** Number of the next requests to refuse. */
let refused = 0;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

beforeEach(async (t) => {
  streams = [];
  origin = await startOrigin({ [EVENTS]: accept });
  /** @type {any} */ (t).after(() => origin.stop());
});

/** @type {import("node:http").RequestListener} */
function accept(request, response) {
  const stream = {
    url: request.url ?? "",
    isOpen: true,
    say: (/** @type {string} */ event, /** @type {string} */ data) => {
      response.write(`event: ${event}\n${data.replace(/^/gm, "data: ")}\n\n`);
    },
    breaks: () => response.destroy(),
  };
  streams.push(stream);
  response.on("close", () => (stream.isOpen = false));
  if (refused > 0) {
    refused -= 1;
    response.writeHead(503).end();
  } else {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" }).flushHeaders();
  }
}

test("a pushed config acts at once, and a malformed one is ignored", { timeout: 60_000 }, async () => {
  const page = await open();
  const stream = await nth(1);
  assert.match(stream.url, /^\/api\/v1\/health\/database\/events\?client=[0-9a-z]{6,11}$/);
  stream.say("config", MODERATE);
  await until("it acts", 2000, async () => (await state(page)).level === "MODERATE");
  for (const nonsense of ["", "not json", "[]", "null", golden("malformed"), '{ "epoch": "x" }', '{ "return_within_ms": -1 }']) {
    stream.say("config", nonsense);
    stream.say("heartbeat", nonsense);
    stream.say("heard-of-never", nonsense);
  }
  stream.say("heartbeat", JSON.stringify({ epoch: EPOCH, version: 42 }));
  stream.say("config", JSON.stringify({ ...JSON.parse(MODERATE), version: 43, max_concurrent_requests: 2 }));
  await until("it has received all events", 2000, async () => (await state(page)).config.version === 43);
  assert.deepEqual([(await state(page)).level, (await state(page)).transport], ["MODERATE", "sse"]);
  assert.deepEqual([origin.seen.asked, streams.length, stream.isOpen], [0, 1, true], "no poll is needed");
  assert.deepEqual(await page.evaluate("synced"), [{ stale: false, transport: "sse" }]);
  await page.evaluate("client.close()");
  await until("it is closed", 2000, () => !stream.isOpen);
  assert.equal((await state(page)).transport, "none");
  await page.close();
});

test("a heartbeat with a newer version causes a poll", { timeout: 60_000 }, async () => {
  const page = await open();
  const stream = await nth(1);
  stream.say("config", NORMAL);
  await until("the config", 2000, async () => (await state(page)).config);
  origin.limit({});
  stream.say("heartbeat", JSON.stringify({ epoch: EPOCH, version: 42 }));
  await until("the newer one", 4000, async () => (await state(page)).level === "MODERATE");
  assert.deepEqual([origin.seen.asked, streams.length, stream.isOpen], [1, 1, true]);
  await page.close();
});

for (const [how, end] of /** @type {[string, () => void][]} */ ([
  ["breaks", () => streams[0]?.breaks()],
  ["is refused", () => {}],
])) {
  test(`a stream that ${how} is replaced by polling and opened again`, { timeout: 60_000 }, async () => {
    refused = how === "is refused" ? 1 : 0;
    const page = await open();
    await nth(1);
    end();
    await until("the answer", 4000, async () => (await state(page)).transport === "poll");
    assert.ok(origin.seen.asked >= 1);
    const second = await nth(2);
    second.say("config", MODERATE);
    await until("the stream is back", 2000, async () => (await state(page)).transport === "sse");
    // The browser reconnects by itself after three seconds without jitter; it must not.
    await new Promise((later) => setTimeout(later, 4000));
    assert.deepEqual([streams.length, second.isOpen], [2, true]);
    await page.close();
  });
}

test("after a goodbye the stream is opened again later, but not by a closed client", { timeout: 60_000 }, async () => {
  const [stays, closes] = [await open(), await open()];
  const said = Date.now();
  await nth(2);
  for (const stream of streams) {
    stream.say("config", NORMAL);
    stream.say("bye", "{}");
  }
  await until("both are closed by the client", 2000, () => streams.every(({ isOpen }) => !isOpen));
  await closes.evaluate("client.close()");
  const third = await nth(3);
  assert.ok(Date.now() - said >= 500, "not all at the same moment");
  assert.equal(origin.seen.asked, 0);
  await new Promise((later) => setTimeout(later, 3200));
  assert.deepEqual([streams.length, third.isOpen], [3, true]);
  await Promise.all([stays.close(), closes.close()]);
});

test("a listener may close the client during an event", { timeout: 60_000 }, async () => {
  const page = await open();
  await page.evaluate("client.addEventListener('config', () => client.close())");
  const stream = await nth(1);
  stream.say("config", MODERATE);
  await until("it is closed", 2000, () => !stream.isOpen);
  await new Promise((later) => setTimeout(later, 1500));
  assert.deepEqual([streams.length, origin.seen.asked, (await state(page)).transport], [1, 0, "none"]);
  await page.close();
});

/** A page whose client has a stream of its own. */
async function open() {
  const page = await browser.newPage();
  await page.goto(`${origin.url}/#${encodeURIComponent(JSON.stringify({ shareAcrossTabs: false }))}`);
  await until("the client", 5000, () => page.evaluate("Boolean(window.client)"));
  await page.evaluate("window.synced = []; client.addEventListener('syncchange', ({ detail }) => synced.push(detail))");
  return page;
}

/** @param {Page} page */
function state(page) {
  return /** @type {Promise<any>} */ (page.evaluate("client.state"));
}

/**
 * The nth requested stream, once it is requested.
 * @param {number} count
 */
function nth(count) {
  return until(`stream ${count}`, 5000, () => streams[count - 1] ?? null);
}
