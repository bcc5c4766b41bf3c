// The module does not load: requests pass. In a file of its own, because a module loads once a process.

import assert from "node:assert/strict";
import { test } from "node:test";

import { backend, config, load, until } from "./support.mjs";

const { createClient } = await load();

test("without its module the client lets everything pass and says so", async (t) => {
  const server = await backend({ config: () => config("open") });
  t.after(() => server.stop());
  const warn = t.mock.method(console, "warn", () => {});
  const client = await createClient({ baseUrl: server.url, wasm: new Uint8Array([1, 2, 3]) });
  assert.deepEqual(warn.mock.calls.map((call) => /requests pass through/.test(call.arguments[0])), [true]);
  const event = await new Promise((heard) => client.addEventListener("syncchange", heard, { once: true }));
  assert.ok(event.detail.error instanceof WebAssembly.CompileError);
  assert.equal((await client.fetch(server.url)).status, 200);
  assert.equal(client.state.transport, "none");
  await assert.rejects(client.refresh(), (error) => error.code === "wasm_unavailable");
  client.close();

  const second = await createClient({ baseUrl: server.url });
  t.after(() => second.close());
  await until(() => second.state.breaker === "open", "a config: the next client loads the module again");
});
