// What happens at a bad moment, or with what few would write.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ONE_AT_A_TIME, world } from "./host.mjs";
import { config, load, packageUrl } from "./support.mjs";

const { createClient, createThrottledFetch } = await load();
const { Scope } = await load("requests/scope.js");

test("a wrong option is named even where the module does not work", async () => {
  const options = { baseUrl: "http://app.test", maxQueue: -1, wasm: new Uint8Array(3) };
  await assert.rejects(createClient(options), { name: "TypeError", message: /maxQueue/ });
});

test("a `fetch` that is not a function is named", async () => {
  const wrong = { baseUrl: "http://app.test", fetch: "nope" };
  assert.throws(() => createThrottledFetch(wrong), { name: "TypeError", message: /`fetch` must be a function/ });
  await assert.rejects(createClient(wrong), { name: "TypeError", message: /`fetch` must be a function/ });
});

test("the module may be named by a file's address, as a text", async () => {
  const { init } = await load("node.js", "?by-text");
  await init(packageUrl("poolgate_client_bg.wasm").href);
});

test("a call that its own arguments abort does not wait", async (t) => {
  const { ask, load } = await world(t, config("moderate", ONE_AT_A_TIME));
  void ask("/first");
  const controller = new AbortController();
  const init = {
    signal: controller.signal,
    get headers() {
      controller.abort("changed my mind");
      return {};
    },
  };
  assert.equal(await ask("/second", init).catch((reason) => reason), "changed my mind");
  assert.deepEqual(load(), { queued: 0, inFlight: 1 });
});

test("every listener hears of the queue in order, even if another one sends a request", async (t) => {
  const { client, ask } = await world(t, config("moderate", ONE_AT_A_TIME));
  client.addEventListener("queuechange", ({ detail }) => detail.queued === 1 && void ask("/from-a-listener"));
  /** @type {number[]} */
  const heard = [];
  client.addEventListener("queuechange", ({ detail }) => heard.push(detail.queued));
  void ask("/first");
  void ask("/second");
  assert.deepEqual(heard, [1, 2]);
});

test("bytes that others may change are refused by the platform, whether the call waits or not", async (t) => {
  const { ask, paths, load } = await world(t, config("moderate", ONE_AT_A_TIME));
  const init = { method: "POST", body: new Uint8Array(new SharedArrayBuffer(4)) };
  assert.throws(() => new Request("http://app.test", init), TypeError);
  void ask("/first");
  void ask("/second", init);
  assert.deepEqual([paths(), load().queued], [["/first", "/second"], 0], "the host says what is wrong");
});

test("a server that had a config and answers 404 is asked again", async (t) => {
  const { client, host } = await world(t, config("moderate", { poll_after_seconds: 1 }), { transport: "poll" });
  host.document = 404;
  await assert.rejects(client.refresh(), { code: "config_unavailable" });
  assert.equal(client.state.enforced, true, "what was in force stays so");
  host.document = config("normal", { version: 1000 });
  await client.refresh();
  assert.equal(client.state.level, "NORMAL");
});

test("a path that URLs encode hides no health API", () => {
  const { origin, pathname } = new URL("http://app.test/aü");
  const scope = new Scope({ origin, healthPrefix: `${pathname}/api/v1/health/` });
  const covers = (/** @type {string} */ path) => scope.covers(`http://app.test/aü${path}`);
  assert.deepEqual([covers("/api/v1/health/database/status"), covers("/api/v1/orders")], [false, true]);
});
