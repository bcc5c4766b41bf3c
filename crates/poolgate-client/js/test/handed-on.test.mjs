// What the host's fetch is given, and what the app gets back: the very same things, however odd.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { ONE_AT_A_TIME, world } from "./host.mjs";
import { config, load, until } from "./support.mjs";

test("a call that starts at once is handed on as it is, and so is its answer", async (t) => {
  const { client, calls, load } = await world(t, config("normal"));
  const input = new Request("http://app.test/orders");
  const init = { headers: { x: "1" }, next: { revalidate: 60 } };
  const promise = client.fetch(input, init);
  assert.deepEqual(load(), { queued: 0, inFlight: 1 });
  assert.ok(calls[0].input === input && calls[0].init === init);
  assert.equal(calls[0].receiver, undefined, "a browser's own fetch accepts no other `this`");
  const answer = new Response();
  calls[0].resolve(answer);
  assert.equal(await promise, answer);
  assert.deepEqual(load(), { queued: 0, inFlight: 0 });
});

test("what the host fails with is handed on as it is, thrown or rejected", async (t) => {
  const { ask, calls, host, load } = await world(t, config("normal"));
  for (const error of [new TypeError("Failed to fetch"), "a string", undefined]) {
    const promise = ask("/");
    calls.at(-1).reject(error);
    assert.equal(await promise.then(() => assert.fail(), (thrown) => thrown), error);
    assert.deepEqual(load(), { queued: 0, inFlight: 0 });
  }
  host.throws = new Error("thrown, not rejected");
  assert.equal(await ask("/").catch((error) => error), host.throws);
  assert.deepEqual(load(), { queued: 0, inFlight: 0 });
});

const headers = (/** @type {Record<string, any>} */ head) => ({ get: (/** @type {string} */ name) => head[name] ?? null });
const throwing = () => {
  throw new Error("a bug of the app's");
};
const REJECTION = { "poolgate-config": "e=1, v=1", "content-type": "application/problem+json", "retry-after": "60" };

/** What a fetch of the app's own might answer, and nothing in it is what it should be. */
const ODD = {
  "an empty object": {},
  "words for numbers": { status: "x", headers: {} },
  null: null,
  "a text": "text",
  "a function": () => {},
  "a rejection whose document is no promise": { status: 503, headers: headers(REJECTION), clone: () => ({ json: () => "x" }) },
  "a rejection that cannot be cloned": { status: 503, headers: headers(REJECTION), clone: throwing },
  "headers that are no texts": {
    status: 503,
    headers: headers({ "poolgate-config": 7, age: {}, "retry-after": [], ratelimit: 1, "content-type": true }),
  },
  "headers that throw": { status: 200, headers: { get: throwing } },
  "members that throw": Object.defineProperties({}, { status: { get: throwing }, headers: { get: throwing } }),
};
for (const options of [{}, { honourForeignLimits: true, retries: 2 }]) {
  const how = JSON.stringify(options);
  for (const [what, answer] of Object.entries(ODD)) {
    test(`an answer of any kind is handed on: ${what}, with ${how}`, async (t) => {
      const { ask, calls, events, client, load } = await world(t, config("normal"), options);
      let ended = false;
      const promise = ask("/").finally(() => (ended = true));
      await until(() => {
        // Some are worth another attempt.
        for (const { resolve } of calls) resolve(answer);
        return ended;
      }, "the answer");
      assert.equal(await promise, answer);
      await sleep(0);
      assert.deepEqual(load(), { queued: 0, inFlight: 0 });
      assert.equal(client.state.transport, "poll");
      assert.deepEqual(events.filter(({ type }) => type !== "queuechange"), [], "the client works as before");
    });
  }
}

test("a fetch may give any thenable, or no promise at all", async (t) => {
  const { createClient } = await load();
  const answers = [{ then: (/** @type {(answer: string) => void} */ resolve) => resolve("then") }, "plain"];
  const fetch = (/** @type {string} */ input) =>
    input.endsWith("/throttling-config") ? Response.json(config("normal")) : answers.shift();
  const client = await createClient({ baseUrl: "http://app.test", fetch });
  t.after(() => client.close());
  await until(() => client.state.config, "a config");
  assert.equal(await client.fetch("http://app.test/"), "then");
  assert.equal(await client.fetch("http://app.test/"), "plain");
  assert.equal(client.state.inFlight, 0);
});

test("a call that waits keeps what only the app's fetch knows", async (t) => {
  const { ask, calls } = await world(t, config("moderate", ONE_AT_A_TIME));
  void ask("/first");
  const init = { method: "POST", next: { tags: ["a"] } };
  void ask("/second", init);
  init.method = "PUT";
  calls[0].resolve(new Response());
  await until(() => calls.length === 2, "the second");
  assert.equal(calls[1].init.method, "POST");
  assert.equal(calls[1].init.next, init.next);
});

for (const init of [null, () => {}, 7]) {
  test(`what is no init is the host's to judge, whether a call waits or not: ${init}`, async (t) => {
    const { ask, calls } = await world(t, config("moderate", ONE_AT_A_TIME));
    void ask("/first", init);
    const second = ask("/second", init);
    assert.equal(calls[0].init, init);
    if (typeof init === "number") {
      // The platform takes it for none of its dictionaries: it is refused at once, by the host.
      assert.equal(calls.length, 2);
      calls[1].reject(new TypeError("refused"));
      await assert.rejects(second, TypeError);
    } else {
      calls[0].resolve(new Response());
      await until(() => calls.length === 2, "the second");
      assert.equal(calls[1].init, init);
    }
  });
}

test("a stream of a call that is turned away is the app's again", async (t) => {
  const { ask } = await world(t, config("moderate", ONE_AT_A_TIME), { queueTimeoutMs: 30 });
  void ask("/first");
  const body = new ReadableStream();
  const late = ask("/second", { method: "POST", body, duplex: "half" });
  assert.ok(body.locked, "the app may not read it while the call waits");
  await assert.rejects(late, { code: "queue_timeout" });
  assert.equal(body.locked, false);
});

test("the app chooses what counts, and its mistakes are told and stop no request", async (t) => {
  const warn = t.mock.method(console, "warn", () => {});
  const { client, ask, calls } = await world(t, config("open"), {
    throttles: ({ pathname }) => (pathname === "/throws" ? throwing() : pathname === "/counts"),
  });
  void ask("/other");
  assert.equal(warn.mock.callCount(), 0);
  void ask("/throws");
  assert.deepEqual([calls.length, warn.mock.callCount()], [2, 1]);
  await assert.rejects(client.fetch("https://elsewhere.test/counts"), { code: "circuit_open" });
  assert.equal(calls.length, 2);
});
