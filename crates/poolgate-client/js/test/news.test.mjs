// What the header of an app's own response says about the server.

import assert from "node:assert/strict";
import { test } from "node:test";

import { backend, config, fixture, load, until } from "./support.mjs";

const { createClient } = await load();
const { valid, malformed } = JSON.parse(fixture("headers.json"));
const EMERGENCY = "e=1763880000000, v=99, level=EMERGENCY, concurrency=1, open=?1";

/**
 * A client of a server whose app says what the test wants.
 * @param {import("node:test").TestContext} t
 * @param {object} [changes] to the config
 */
async function pair(t, changes = {}) {
  const says = { document: config("normal", changes), header: {} };
  const app = (_, response) => response.writeHead(200, says.header).end("{}");
  const server = await backend({ app, config: () => says.document });
  const client = await createClient({ baseUrl: server.url });
  t.after(async () => {
    client.close();
    await server.stop();
  });
  await until(() => client.state.config, "a config");
  /** @type {any[]} */
  const levels = [];
  client.addEventListener("levelchange", ({ detail }) => levels.push(detail));
  /** A call whose answer has these headers. */
  const hear = async (header) => {
    says.header = header;
    await client.fetch(server.url, { poolgate: { bypass: true } });
  };
  return { client, says, levels, hear };
}

test("it is news, and the document behind it is asked for soon", async (t) => {
  const { client, says, levels, hear } = await pair(t);
  says.document = config("moderate", { fair_rate_per_second: 50 });
  await hear({ "poolgate-config": "e=1763880000000, v=42, level=MODERATE, interval=20, concurrency=5, open=?0" });
  assert.deepEqual([client.state.level, client.state.ratePerSecond, client.state.config.version], ["MODERATE", 50, 41]);
  assert.deepEqual(levels, [{ from: "NORMAL", to: "MODERATE" }]);
  const deadline = performance.now() + 2500;
  while (client.state.config.version !== 42) {
    assert.ok(performance.now() < deadline, "the document, within two seconds");
    await new Promise((later) => setTimeout(later, 20));
  }
  assert.equal(client.state.config.max_concurrent_requests, 3);
});

for (const { header, level, interval_ms: interval, open } of valid) {
  test(`a golden header acts: ${header}`, async (t) => {
    const { client, hear } = await pair(t, { version: 1 });
    await hear({ "poolgate-config": header });
    assert.deepEqual([client.state.level, client.state.breaker], [level, open ? "open" : "closed"]);
    assert.equal(client.state.ratePerSecond, interval === null ? null : 1000 / interval);
  });
}

test("one that is malformed, older, or from a cache is ignored", async (t) => {
  const { client, levels, hear } = await pair(t);
  for (const header of malformed) await hear({ "poolgate-config": header });
  await hear({ "poolgate-config": EMERGENCY.replace("v=99", "v=1") });
  await hear({ "poolgate-config": EMERGENCY, age: "3" });
  assert.deepEqual([client.state.level, client.state.breaker, levels], ["NORMAL", "closed", []]);
  await hear({ "poolgate-config": EMERGENCY, age: "0" });
  assert.deepEqual([client.state.level, client.state.breaker], ["EMERGENCY", "open"], "that one counts");
});
