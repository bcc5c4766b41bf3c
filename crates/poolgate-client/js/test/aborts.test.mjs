// An abort rejects at once, with the reason itself, wherever the call is.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ONE_AT_A_TIME, world } from "./host.mjs";
import { backend, config, load, until } from "./support.mjs";

const { createClient } = await load();

/** Reasons like no other. */
const REASONS = [{ any: "object" }, "a string", 7];

const thrown = (/** @type {Promise<unknown>} */ promise) => promise.then(() => assert.fail("fulfilled"), (error) => error);

test("before the call: nothing is sent, by whichever way the signal comes", async (t) => {
  const { client, ask, calls, load } = await world(t, config("normal"));
  const controller = new AbortController();
  controller.abort(REASONS[0]);
  const { signal } = controller;
  assert.equal(await thrown(ask("/", { signal })), REASONS[0]);
  assert.equal(await thrown(client.fetch(new Request("http://app.test/", { signal }))), REASONS[0]);
  assert.deepEqual([calls.length, load()], [0, { queued: 0, inFlight: 0 }]);
});

test("while it waits: at once", async (t) => {
  const { ask, calls, load } = await world(t, config("moderate", ONE_AT_A_TIME));
  const controller = new AbortController();
  const { signal } = controller;
  const promises = Array.from({ length: 5 }, () => ask("/", { signal }));
  assert.deepEqual(load(), { queued: 4, inFlight: 1 });
  controller.abort(REASONS[0]);
  assert.deepEqual(load(), { queued: 0, inFlight: 1 });
  for (const promise of promises.slice(1)) assert.equal(await thrown(promise), REASONS[0]);
  assert.equal(calls.length, 1, "none of them was sent");
});

test("on its way: the reason comes before the answer of the host", async (t) => {
  const { ask, calls, load, client } = await world(t, config("normal"));
  for (let i = 0; i < 10; i += 1) {
    const controller = new AbortController();
    const promise = ask("/", { signal: controller.signal });
    controller.abort(REASONS[0]);
    // As an old host does.
    calls.at(-1).reject(new Error("AbortError"));
    assert.equal(await thrown(promise), REASONS[0]);
  }
  assert.deepEqual([load(), client.state.breaker], [{ queued: 0, inFlight: 0 }, "closed"]);
});

test("on its way to a real server, with any reason", async (t) => {
  let reached = 0;
  const server = await backend({ app: () => void (reached += 1) });
  const client = await createClient({ baseUrl: server.url });
  t.after(async () => {
    client.close();
    await server.stop();
  });
  for (const [index, reason] of REASONS.entries()) {
    const controller = new AbortController();
    const promise = client.fetch(server.url, { signal: controller.signal });
    await until(() => reached === index + 1, "the request");
    controller.abort(reason);
    assert.equal(await thrown(promise), reason);
    assert.equal(client.state.inFlight, 0);
  }
});

test("by a listener of the same abort that closes the client", async (t) => {
  const { client, ask } = await world(t, config("moderate", ONE_AT_A_TIME));
  void ask("/first");
  const controller = new AbortController();
  controller.signal.addEventListener("abort", () => client.close());
  const waiting = ask("/second", { signal: controller.signal });
  controller.abort(REASONS[0]);
  await assert.rejects(waiting, { code: "client_closed" });
});
