// Who waits, who goes first, and what the app may do meanwhile.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { ONE_AT_A_TIME, world } from "./host.mjs";
import { backend, config, load, until } from "./support.mjs";

const { createClient } = await load();

test("limits hold and every call is answered", async (t) => {
  const on = { way: 0, most: 0 };
  const app = async (_, response) => {
    on.way += 1;
    on.most = Math.max(on.most, on.way);
    await sleep(20);
    on.way -= 1;
    response.end("{}");
  };
  const server = await backend({ app, config: () => config("moderate", { fair_rate_per_second: 1000, max_concurrent_requests: 2 }) });
  const client = await createClient({ baseUrl: server.url });
  t.after(async () => {
    client.close();
    await server.stop();
  });
  await until(() => client.state.enforced, "limits");
  /** @type {any[]} */
  const told = [];
  client.addEventListener("queuechange", ({ detail }) => told.push(detail));
  const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => client.fetch(`${server.url}/${i}`)));
  assert.ok(answers.every(({ ok }) => ok));
  assert.equal(on.most, 2);
  assert.deepEqual(told.at(-1), { queued: 0, inFlight: 2 });
  assert.deepEqual(told.slice(0, 6).map(({ queued }) => queued), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual([client.state.queued, client.state.inFlight], [0, 0]);
});

test("the important goes first, and bypass at once", async (t) => {
  const { ask, calls, paths, load } = await world(t, config("moderate", ONE_AT_A_TIME));
  void ask("/first");
  void ask("/low", { priority: "low" });
  void ask("/normal");
  void ask("/high", { priority: "high" });
  void ask("/critical", { priority: "low", poolgate: { priority: "critical" } });
  assert.deepEqual(load(), { queued: 4, inFlight: 1 });
  void ask("/bypass", { poolgate: { bypass: true } });
  assert.deepEqual(paths(), ["/first", "/bypass"], "bypass does not wait");
  for (let answered = 0; answered < 6; answered += 1) {
    await until(() => calls.length > answered, "the next one");
    calls[answered].resolve(new Response());
  }
  await until(() => load().inFlight === 0, "the end");
  assert.deepEqual(paths(), ["/first", "/bypass", "/critical", "/high", "/normal", "/low"]);
});

test("the app may call from within its listeners", async (t) => {
  const { client, ask, paths, load } = await world(t, config("moderate", ONE_AT_A_TIME));
  const seen = [];
  client.addEventListener("queuechange", ({ detail }) => {
    seen.push([detail.queued, client.state.queued]);
    if (seen.length === 1) void ask("/from-a-listener", { poolgate: { bypass: true } });
  });
  void ask("/");
  void ask("/");
  await until(() => paths().includes("/from-a-listener"), "a listener's request");
  assert.ok(seen.length > 0 && seen.every(([told, is]) => told === is), JSON.stringify(seen));
  assert.equal(load().queued, 1);
});

test("the app may close the client from within its listeners", async (t) => {
  const { client, ask } = await world(t, config("moderate", ONE_AT_A_TIME));
  client.addEventListener("queuechange", () => client.close());
  void ask("/first");
  await assert.rejects(ask("/second"), { code: "client_closed" });
});

test("the app may close the client while its arguments are read", async (t) => {
  const { client, ask } = await world(t, config("moderate", ONE_AT_A_TIME));
  void ask("/first");
  const init = {
    get headers() {
      client.close();
      return {};
    },
  };
  await assert.rejects(ask("/second", init), { code: "client_closed" });
});

test("the app's own fetch may call the client again", async (t) => {
  const sent = [];
  const client = await createClient({
    baseUrl: "http://app.test",
    fetch: async (/** @type {string} */ input) => {
      if (input.endsWith("/throttling-config")) return Response.json(config("moderate", ONE_AT_A_TIME));
      // As one that needs a token for everything else.
      if (!input.endsWith("/token")) await client.fetch("http://app.test/token", { poolgate: { bypass: true } });
      sent.push(new URL(input).pathname);
      return new Response();
    },
  });
  t.after(() => client.close());
  await until(() => client.state.enforced, "limits");
  await Promise.all(["/a", "/b"].map((path) => client.fetch(`http://app.test${path}`)));
  assert.deepEqual(sent, ["/token", "/a", "/token", "/b"]);
  assert.deepEqual([client.state.queued, client.state.inFlight], [0, 0]);
});
