// The module does not arrive: requests pass. In a file of its own, because a module loads once a process.

import assert from "node:assert/strict";
import { test } from "node:test";

import { backend, load } from "./support.mjs";

const { createClient, createThrottledFetch } = await load();

test("a module that does not arrive delays no request", { timeout: 9000 }, async (t) => {
  const server = await backend();
  t.after(() => server.stop());
  const never = new Promise(() => {});
  assert.equal((await createThrottledFetch({ baseUrl: server.url, wasm: never })(server.url)).status, 200);
  const start = performance.now();
  const client = await createClient({ baseUrl: server.url, wasm: never });
  assert.ok(performance.now() - start < 6000);
  assert.equal((await client.fetch(server.url)).status, 200);
  assert.equal(client.state.transport, "none");
});
