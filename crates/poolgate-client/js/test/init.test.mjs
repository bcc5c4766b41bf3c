// Loading the module early. In a file of its own, because a module loads once a process.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { backend, config, load, packageUrl, until } from "./support.mjs";

test("init loads the module once for any number of callers", async (t) => {
  const { init, createClient } = await load();
  await assert.rejects(init(new Uint8Array([1, 2, 3])), WebAssembly.CompileError);
  const instantiate = t.mock.method(WebAssembly, "instantiate");
  await Promise.all([init(), init(), init(readFileSync(packageUrl("poolgate_client_bg.wasm")))]);
  assert.equal(await init(new Uint8Array([1, 2, 3])), undefined, "it is there already");
  // Node's own fetch has a module too.
  const ours = instantiate.mock.calls.filter(({ arguments: [, imports] }) => "./poolgate_client_bg.js" in imports);
  assert.equal(ours.length, 1);
  const server = await backend({ config: () => config("open") });
  t.after(() => server.stop());
  const client = await createClient({ baseUrl: server.url });
  t.after(() => client.close());
  await until(() => client.state.breaker === "open", "a config");
});

test("another entry uses the module that is there", async (t) => {
  const instantiate = t.mock.method(WebAssembly, "instantiate");
  const { init } = await load("inline.js");
  await init();
  assert.equal(instantiate.mock.callCount(), 0);
});
