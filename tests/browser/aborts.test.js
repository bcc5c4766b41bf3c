// A hundred thousand calls aborted at random moments leave nothing behind.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "./support/browser.js";
import { startOrigin } from "./support/origin.js";

/** A page whose client never gets an answer: a call ends when the page lets it end or its signal is aborted. */
const PAGE = `<!doctype html><title>aborts</title><script type="module">
  import { createClient } from "/pkg/index.js";
  /** Listeners on abort signals; the client has a few of its own. */
  let listeners = 0;
  for (const [name, step] of [["addEventListener", 1], ["removeEventListener", -1]]) {
    const original = EventTarget.prototype[name];
    EventTarget.prototype[name] = function (type, ...rest) {
      if (this instanceof AbortSignal && type === "abort") listeners += step;
      return original.call(this, type, ...rest);
    };
  }
  const native = globalThis.fetch.bind(globalThis);
  const flights = new Set();
  const host = (input, init) =>
    String(input).includes("/app/")
      ? new Promise((resolve, reject) => flights.add({ resolve, reject, signal: init.signal }))
      : native(input, init);
  const client = await createClient({ fetch: host, maxQueue: 2000, queueTimeoutMs: 600_000, autoCleanup: false });
  window.client = client;
  /** Calls that share one signal; one has started. Counts the listeners while calls wait, start and end. */
  window.listening = async () => {
    const { signal } = new AbortController();
    const own = listeners;
    const calls = Array.from({ length: 4 }, (_, n) => client.fetch("/app/" + n, { signal }));
    const seen = [listeners - own];
    while (seen.length <= calls.length) {
      for (const flight of flights) flights.delete(flight) && flight.resolve(new Response());
      await new Promise((resolve) => setTimeout(resolve, 50));
      seen.push(listeners - own);
    }
    await Promise.all(calls);
    return seen;
  };
  window.giveUp = async (calls) => {
    const own = listeners;
    const living = [];
    const seen = { reasons: 0, answers: 0, wrong: 0, most: 0, mostListeners: 0 };
    const draw = (below) => Math.floor(Math.random() * below);
    const lot = (index) => living.splice(index, 1, living.at(-1)) && living.pop();
    const settle = () => {
      for (const flight of flights) {
        if (flight.signal.aborted) flight.reject(flight.signal.reason);
        else if (draw(2)) flight.resolve(new Response());
        else continue;
        flights.delete(flight);
      }
    };
    let made = 0;
    while (made < calls || living.length > 0 || flights.size > 0) {
      for (let i = 0; i < 500 && made < calls && living.length < 1500; i += 1, made += 1) {
        const controller = new AbortController();
        const reason = {};
        const call = { controller, reason };
        living.push(call);
        client.fetch("/app/" + made, { signal: controller.signal, priority: ["high", "low", "auto"][draw(3)] }).then(
          () => (seen.answers += 1),
          (error) => (error === reason ? (seen.reasons += 1) : (seen.wrong += 1)),
        );
        // Some are aborted at once, some before they wait.
        if (draw(20) === 0) living.pop().controller.abort(reason);
      }
      seen.most = Math.max(seen.most, client.state.queued);
      seen.mostListeners = Math.max(seen.mostListeners, listeners);
      for (let i = draw(500); i > 0 && living.length > 0; i -= 1) {
        const index = draw(living.length);
        const { controller, reason } = living[index];
        lot(index);
        controller.abort(reason);
      }
      settle();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    const { queued, inFlight } = client.state;
    return { ...seen, made, queued, inFlight, listeners: listeners - own };
  };
</script>`;

/** @type {import("./support/origin.js").Origin} */
let origin;
/** @type {import("playwright-core").Browser} */
let browser;

before(async () => {
  browser = await launch();
  origin = await startOrigin({ "/": PAGE });
});

after(async () => {
  await browser?.close();
  await origin?.stop();
});

test("only queued calls listen to their signal", { timeout: 60_000 }, async () => {
  origin.limit({ fair_rate_per_second: 1000, max_concurrent_requests: 1 });
  const page = await browser.newPage();
  await page.goto(origin.url);
  await page.waitForFunction("window.client?.state.enforced");
  assert.deepEqual(await page.evaluate("window.listening()"), [3, 2, 1, 0, 0]);
  await page.close();
});

test("no call is in flight or queued, and no listener is left", { timeout: 120_000 }, async (t) => {
  origin.limit({ fair_rate_per_second: 1000, max_concurrent_requests: 10 });
  const page = await browser.newPage();
  await page.goto(origin.url);
  await page.waitForFunction("window.client?.state.enforced");
  const began = Date.now();
  const left = /** @type {Record<string, number>} */ (await page.evaluate("window.giveUp(100_000)"));
  t.diagnostic(`${JSON.stringify(left)} in ${Date.now() - began} ms`);
  const { made, reasons, answers, wrong, queued, inFlight, listeners, most, mostListeners } = left;
  assert.deepEqual({ made, wrong, queued, inFlight, listeners }, { made: 100_000, wrong: 0, queued: 0, inFlight: 0, listeners: 0 });
  assert.equal((reasons ?? 0) + (answers ?? 0), 100_000, "each call has one end");
  assert.ok((answers ?? 0) > 100 && (most ?? 0) > 500 && (mostListeners ?? 0) > 500, "many calls were answered, queued and listened to");
});
