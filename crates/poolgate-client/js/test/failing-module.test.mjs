// The module fails for real: its code traps. In every function requests pass, and the error is told once.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { ONE_AT_A_TIME, world } from "./host.mjs";
import { config, load, until } from "./support.mjs";

await (await load()).init();
const { Throttle } = await load("poolgate_client.js");

/** A module that has one function, whose only instruction is `unreachable`. */
const BYTES = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 0x66, 0, 0, 0x0a, 5, 1, 3, 0, 0, 0x0b];
const trap = /** @type {() => never} */ (new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(BYTES))).exports.f);

/** @type {Error[]} */
let unhandled;
const note = (/** @type {Error} */ error) => void unhandled.push(error);

beforeEach(() => {
  unhandled = [];
  process.on("unhandledRejection", note);
  process.on("uncaughtException", note);
  mock.method(console, "warn", () => {});
});

afterEach(async () => {
  await sleep(1);
  mock.restoreAll();
  process.off("unhandledRejection", note);
  process.off("uncaughtException", note);
  assert.deepEqual(unhandled, []);
});

/**
 * From now on a method of a class traps.
 * @param {{ prototype: any }} type
 * @param {string} method
 */
const breakMethod = (type, method) => mock.method(type.prototype, method, trap);

/**
 * A client of which one call is on its way and two wait, with what it was told of failures.
 * @param {import("node:test").TestContext} t
 * @param {object} [options]
 */
async function busy(t, options) {
  const all = await world(t, config("moderate", { ...ONE_AT_A_TIME, poll_after_seconds: 1 }), options);
  const first = all.ask("/first");
  const waiting = [all.ask("/second"), all.ask("/third")];
  await until(() => all.calls.length === 1, "the first");
  const failures = () => all.events.filter(({ detail }) => detail.error !== undefined);
  return { ...all, first, waiting, failures };
}

/** All that must be so once the module has failed. @param {Awaited<ReturnType<typeof busy>>} client */
async function letsPass({ client, ask, calls, first, waiting, failures }) {
  await until(() => failures().length > 0, "the event");
  assert.equal(failures().length, 1, "it is said once");
  const [{ type, detail }] = failures();
  assert.ok(detail.error instanceof WebAssembly.RuntimeError);
  assert.deepEqual([type, detail.transport, detail.stale], ["syncchange", "none", false]);
  const later = ask("/later");
  for (const path of ["/first", "/second", "/third", "/later"]) {
    assert.equal(calls.filter(({ input }) => new URL(input).pathname === path).length, 1, `${path} was sent once`);
  }
  for (const { resolve } of calls) resolve?.(new Response());
  for (const call of [first, ...waiting, later]) assert.equal((await call).status, 200);
  assert.deepEqual([client.state.transport, client.state.level, client.state.queued], ["none", "NORMAL", 0]);
  await assert.rejects(client.refresh(), (/** @type {any} */ error) => /^(wasm_unavailable|client_closed)$/.test(error.code));
  client.close();
  await sleep(1);
  assert.equal(failures().length, 1);
}

/** What was asked of the module when it failed. @type {[string, { prototype: any }, string, (client: any) => unknown][]} */
const MOMENTS = [
  ["a call is submitted", Throttle, "submit", ({ ask }) => ask("/fourth")],
  ["what is due is asked", Throttle, "poll", ({ calls }) => calls[0].resolve(new Response())],
  ["the time of what is due is asked", Throttle, "next_wakeup", ({ calls }) => calls[0].resolve(new Response())],
  ["a call has ended", Throttle, "complete", ({ calls }) => calls[0].resolve(new Response())],
  ["a call has failed", Throttle, "complete", ({ ask, calls }) => {
    ask("/fourth", { poolgate: { bypass: true } });
    calls[1].reject(new TypeError("Failed to fetch"));
  }],
  ["the host throws", Throttle, "complete", ({ ask, host }) => {
    let times = 1;
    Object.defineProperty(host, "throws", { get: () => (times-- > 0 ? new Error("thrown") : undefined) });
    ask("/fourth", { poolgate: { bypass: true } });
  }],
  ["a header arrives", Throttle, "learn_header", ({ calls }) => {
    const head = { "poolgate-config": "e=1763880000000, v=50, level=NORMAL, concurrency=1, open=?0" };
    calls[0].resolve(new Response(null, { headers: head }));
  }],
  ["a config arrives", Throttle, "learn_config", ({ client }) => client.refresh().catch(() => {})],
  ["a call that waits is aborted", Throttle, "abort", ({ ask }) => {
    const controller = new AbortController();
    ask("/fourth", { signal: controller.signal });
    controller.abort();
  }],
  ["the app asks for the state", Throttle, "read", ({ client }) => client.state],
  ["a config is asked for by itself", Throttle, "learn_config", () => {}],
];
for (const [when, type, method, act] of MOMENTS) {
  test(`it fails when ${when}`, async (t) => {
    const client = await busy(t);
    client.host.document = config("moderate", { ...ONE_AT_A_TIME, version: 60 });
    breakMethod(type, method);
    act(client);
    await letsPass(client);
  });
}

test("it fails when a timer fires", async (t) => {
  const client = await busy(t, { queueTimeoutMs: 100 });
  breakMethod(Throttle, "poll");
  await letsPass(client);
});

test("it fails when the gate has rejected a call", async (t) => {
  const client = await busy(t);
  breakMethod(Throttle, "turned_away");
  const headers = { "poolgate-config": "e=1763880000000, v=1, level=NORMAL, concurrency=1, open=?0", "content-type": "application/problem+json" };
  const rejection = new Response(JSON.stringify({ code: "database_unavailable" }), { status: 503, headers });
  client.ask("/fourth", { poolgate: { bypass: true } });
  client.calls[1].resolve(rejection);
  await letsPass(client);
});

test("calls that wait for their route, or for another attempt, pass as well", async (t) => {
  const { client, ask, calls, host } = await world(t, config("normal"), { honourForeignLimits: true, retries: 2 });
  const held = ask("/held");
  await until(() => calls.length === 1, "the first");
  calls[0].resolve(new Response(null, { status: 429, headers: { "retry-after": "20" } }));
  await until(() => client.state.queued === 1, "the wait for another attempt");
  const other = ask("/held");
  await until(() => client.state.queued === 2, "the wait for the route");
  breakMethod(Throttle, "submit");
  void ask("/other");
  await until(() => calls.length === 4, "all of them");
  for (const { resolve } of calls) resolve(new Response());
  assert.deepEqual([(await held).status, (await other).status], [200, 200]);
  assert.ok(host.asked > 0);
});

for (const method of ["admit", "learn_route"]) {
  test(`the limits of routes fail: ${method}`, async (t) => {
    const { ask, calls, events } = await world(t, config("normal"), { honourForeignLimits: true });
    breakMethod(Throttle, method);
    const call = ask("/a");
    await until(() => calls.length === 1, "the request");
    calls[0].resolve(new Response());
    assert.equal((await call).status, 200);
    await until(() => events.some(({ detail }) => detail.error instanceof WebAssembly.RuntimeError), "the event");
  });
}

test("retries fail: the answer that there is counts", async (t) => {
  const { ask, calls, events } = await world(t, config("normal"), { retries: 2 });
  breakMethod(Throttle, "retry");
  const call = ask("/a");
  await until(() => calls.length === 1, "the request");
  calls[0].resolve(new Response(null, { status: 503 }));
  assert.equal((await call).status, 503);
  await until(() => events.some(({ detail }) => detail.error instanceof WebAssembly.RuntimeError), "the event");
});

test("it fails before there is a client", async () => {
  const { createClient } = await load();
  for (const method of ["poll", "savings"]) {
    const broken = breakMethod(Throttle, method);
    const client = await createClient({ baseUrl: "http://app.test", fetch: async () => new Response() });
    const event = /** @type {any} */ (await new Promise((heard) => client.addEventListener("syncchange", heard, { once: true })));
    assert.ok(event.detail.error instanceof WebAssembly.RuntimeError);
    assert.equal((await client.fetch("http://app.test/")).status, 200);
    broken.mock.restore();
    client.close();
  }
});

test("the console hears of it once for all clients", async () => {
  // From a copy of its own: in this one an error has been told already.
  const { entry } = await load("client/client.js", "?console");
  const { createClient } = entry(async () => assert.fail("the module is there"));
  const options = { baseUrl: "http://app.test", fetch: async () => new Response(null, { status: 404 }) };
  const clients = await Promise.all([createClient(options), createClient(options)]);
  breakMethod(Throttle, "submit");
  for (const client of clients) await client.fetch("http://app.test/");
  const warnings = /** @type {any} */ (console.warn).mock.calls.map((/** @type {any} */ call) => call.arguments[0]);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0], /^\[poolgate\].*requests pass through.*unreachable/);
});
