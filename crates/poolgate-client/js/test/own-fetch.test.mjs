// The page's own fetch: a patch made after the client is called too, and a client that is installed in its place
// does not call itself.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { backend, config, load, until } from "./support.mjs";

const { createClient, createThrottledFetch } = await load();
const native = globalThis.fetch;

afterEach(() => {
  globalThis.fetch = native;
});

/** A client of a real server, with requests one at a time. */
async function pair(t) {
  const limits = { fair_rate_per_second: 1000, max_concurrent_requests: 1 };
  const server = await backend({ config: () => config("moderate", limits) });
  const client = await createClient({ baseUrl: server.url, autoCleanup: false, queueTimeoutMs: 2000 });
  t.after(async () => {
    client.close();
    await server.stop();
  });
  await until(() => client.state.enforced, "limits");
  return { server, client };
}

test("a later patch of fetch is called by every request until it is removed", async (t) => {
  const { server, client } = await pair(t);
  let asked = 0;
  globalThis.fetch = (...args) => {
    if (String(args[0]).endsWith("/x")) asked += 1;
    return native(...args);
  };
  for (let call = 0; call < 3; call += 1) await client.fetch(`${server.url}/x`);
  await Promise.all(Array.from({ length: 3 }, () => client.fetch(`${server.url}/x`)));
  assert.ok(asked >= 5, `${asked} of 6`);
  const before = asked;
  globalThis.fetch = native;
  await client.fetch(`${server.url}/x`);
  assert.deepEqual([asked, server.seen.app.length], [before, 7]);
});

test("where the app names a fetch, that one is called", async (t) => {
  const server = await backend();
  t.after(() => server.stop());
  const client = await createClient({ baseUrl: server.url, fetch: native });
  t.after(() => client.close());
  globalThis.fetch = () => assert.fail("it must not be called");
  assert.equal((await client.fetch(server.url)).status, 200);
});

/** @type {[string, (throttled: typeof fetch) => typeof fetch][]} */
const INSTALLED = [
  ["itself", (throttled) => throttled],
  ["in a function", (throttled) => (...args) => throttled(...args)],
  ["in a function that takes its time", (throttled) => async (...args) => {
    await new Promise((later) => setTimeout(later, 5));
    return throttled(...args);
  }],
  ["in a function that makes a Request", (throttled) => async (input, init) => throttled(new Request(input, init))],
];
for (const [how, install] of INSTALLED) {
  test(`a client that is installed as the page's fetch, ${how}, does not call itself`, async (t) => {
    const { server, client } = await pair(t);
    globalThis.fetch = install(client.fetch);
    for (let call = 0; call < 4; call += 1) assert.equal((await fetch(`${server.url}/${call}`)).status, 200);
    await Promise.all(Array.from({ length: 5 }, (_, call) => fetch(`${server.url}/more/${call}`)));
    assert.equal(server.seen.app.length, 9, "each was sent once");
    await until(() => client.state.inFlight + client.state.queued === 0, "the end");
  });

  test(`so does a throttled fetch, before and after its module is there: ${how}`, async (t) => {
    const server = await backend();
    t.after(() => server.stop());
    globalThis.fetch = install(createThrottledFetch({ baseUrl: server.url, transport: "poll" }));
    for (let call = 0; call < 6; call += 1) {
      assert.equal((await fetch(`${server.url}/${call}`)).status, 200);
      await new Promise((later) => setTimeout(later, 20));
    }
    assert.equal(server.seen.app.length, 6);
  });
}

test("it has the shape of the host's own", async (t) => {
  const { client } = await pair(t);
  const { fetch } = client;
  assert.deepEqual([fetch.name, fetch.length, "prototype" in fetch], ["fetch", 1, false]);
  assert.throws(() => Reflect.construct(fetch, []), TypeError);
});
