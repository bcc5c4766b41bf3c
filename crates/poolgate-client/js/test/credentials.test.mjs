// Cookies with the client's own requests, for a server on another origin behind a login.

import assert from "node:assert/strict";
import { test } from "node:test";

import { config, load, until } from "./support.mjs";

const { createClient } = await load();

for (const credentials of /** @type {const} */ ([undefined, "include", "omit"])) {
  test(`with ${credentials} as the option`, async (t) => {
    /** @type {any[]} */
    const streams = [];
    // Node has none.
    globalThis.EventSource = /** @type {any} */ (
      class extends EventTarget {
        /** @param {any[]} args */
        constructor(...args) {
          super();
          streams.push(args);
        }
        close() {}
      }
    );
    t.after(() => Reflect.deleteProperty(globalThis, "EventSource"));
    /** @type {[string, RequestInit | undefined][]} */
    const asked = [];
    const client = await createClient({
      baseUrl: "http://api.test",
      transport: "sse",
      credentials,
      fetch: async (input, init) => {
        asked.push([String(input), init]);
        return Response.json(config("normal"));
      },
    });
    t.after(() => client.close());
    await until(() => streams.length === 1, "the stream");
    await client.refresh();
    await client.cleanup();
    await client.fetch("http://api.test/orders");
    const expected = credentials ?? "same-origin";
    assert.equal(Boolean(streams[0][1]?.withCredentials), expected === "include");
    const own = asked.filter(([address]) => address.includes("/api/v1/health/"));
    assert.deepEqual(own.map(([, init]) => init?.credentials), [expected, expected]);
    assert.equal(asked.find(([address]) => address.endsWith("/orders"))?.[1], undefined, "the app's own are the app's");
  });
}
