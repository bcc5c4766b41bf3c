// Where there is no page, or one without an origin, and the app does not say where the server is: a server that renders
// pages, a sandboxed frame, a file. An app that imports its client there must load.

import assert from "node:assert/strict";
import { test } from "node:test";

import { backend, load } from "./support.mjs";

/** @type {[string, object | undefined][]} */
const PLACES = [
  ["no page", undefined],
  ["a page without an origin", { origin: "null", href: "about:srcdoc" }],
  ["a file", { origin: "file://", href: "file:///app/index.html" }],
];
for (const [where, location] of PLACES) {
  test(`requests pass through, and the console says so once: ${where}`, async (t) => {
    const warn = t.mock.method(console, "warn", () => {});
    const server = await backend();
    t.after(() => server.stop());
    if (location) Object.defineProperty(globalThis, "location", { value: location, configurable: true });
    t.after(() => Reflect.deleteProperty(globalThis, "location"));
    // Of a copy of its own: another one may have complained already.
    const { entry } = await load("client/client.js", `?${encodeURIComponent(where)}`);
    const { createClient, createThrottledFetch } = entry(async () => assert.fail("the module is not needed"));
    const client = await createClient();
    const event = new Promise((heard) => client.addEventListener("syncchange", heard, { once: true }));
    assert.equal((await client.fetch(server.url)).status, 200);
    assert.equal((await createThrottledFetch()(server.url)).status, 200);
    assert.deepEqual([client.state.transport, client.state.config], ["none", null]);
    assert.match((await event).detail.error.message, /`baseUrl`/);
    await assert.rejects(client.refresh(), { code: "wasm_unavailable" });
    client.close();
    const said = warn.mock.calls.map((call) => call.arguments[0]);
    assert.deepEqual([said.length, server.seen.config], [1, 0]);
    assert.match(said[0], /requests pass through.*`baseUrl`/);
  });
}
