// Calls that the client answers itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { ONE_AT_A_TIME, world } from "./host.mjs";
import { backend, config, load, until } from "./support.mjs";

const { CircuitOpenError, ClientClosedError, QueueFullError, QueueTimeoutError, createClient, isPoolgateError } = await load();

const thrown = (/** @type {Promise<unknown>} */ promise) => promise.then(() => assert.fail("fulfilled"), (error) => error);

/**
 * @param {any} error
 * @param {new (...args: any[]) => Error} type
 * @param {string} code
 */
function isOf(error, type, code) {
  assert.ok(error instanceof type && isPoolgateError(error));
  assert.deepEqual([error.name, error.code], [type.name, code]);
}

test("an open breaker rejects, and says when to return", async (t) => {
  const { client, host, ask, calls, events } = await world(t, config("normal"));
  host.document = config("open");
  await client.refresh();
  const error = await thrown(ask("/"));
  isOf(error, CircuitOpenError, "circuit_open");
  assert.ok(error.retryAfterMs > 0);
  assert.equal(calls.length, 0);
  const breaker = events.filter(({ type }) => type === "breakerchange").map(({ detail }) => detail);
  assert.deepEqual(breaker, [{ from: "closed", to: "open" }]);
});

test("an open breaker answers as the gate would, where the app wants it", async (t) => {
  const { ask, calls } = await world(t, config("open"), { onOpen: "respond" });
  const answer = await ask("/");
  assert.deepEqual([answer.status, answer.statusText, calls.length], [503, "Service Unavailable", 0]);
  assert.match(answer.headers.get("content-type"), /^application\/problem\+json/);
  assert.ok(Number(answer.headers.get("retry-after")) >= 1);
  const problem = await answer.json();
  assert.deepEqual([problem.status, problem.code], [503, "database_unavailable"]);
});

test("a call that is turned away is answered, where the app wants no errors of ours", async (t) => {
  const options = { maxQueue: 1, queueTimeoutMs: 50, onReject: "respond", retries: 1 };
  const { client, ask, calls, load } = await world(t, config("moderate", ONE_AT_A_TIME), options);
  void ask("/first");
  const [late, full] = [ask("/late"), ask("/full")];
  for (const [answer, code] of [[await full, "queue_full"], [await late, "queue_timeout"]]) {
    assert.deepEqual([answer.status, (await answer.json()).code, answer.headers.get("retry-after")], [503, code, "1"]);
  }
  const closed = ask("/closed", { poolgate: { queueTimeoutMs: 5000 } });
  await until(() => load().queued === 1, "the wait");
  client.close();
  assert.equal((await (await closed).json()).code, "client_closed");
  assert.deepEqual(calls.map(({ input }) => new URL(input).pathname), ["/first"], "none was sent, or tried again");
});

test("the option for the breaker is for the breaker alone", async (t) => {
  const { ask } = await world(t, config("moderate", ONE_AT_A_TIME), { maxQueue: 0, onOpen: "respond" });
  void ask("/first");
  isOf(await thrown(ask("/second")), QueueFullError, "queue_full");
});

test("a full queue and a long wait reject", async (t) => {
  const { ask, calls, load } = await world(t, config("moderate", ONE_AT_A_TIME), { maxQueue: 2, queueTimeoutMs: 120 });
  void ask("/");
  const [second, third, fourth] = [ask("/"), ask("/"), ask("/")];
  assert.equal(load().queued, 2);
  isOf(await thrown(fourth), QueueFullError, "queue_full");
  isOf(await thrown(second), QueueTimeoutError, "queue_timeout");
  isOf(await thrown(third), QueueTimeoutError, "queue_timeout");
  assert.equal(load().queued, 0);
  const began = performance.now();
  isOf(await thrown(ask("/", { poolgate: { queueTimeoutMs: 20 } })), QueueTimeoutError, "queue_timeout");
  assert.ok(performance.now() - began < 110, "its own limit");
  assert.equal(calls.length, 1);
});

test("closing rejects queued requests, lets the rest pass, and sends no more of its own", async (t) => {
  const { client, host, ask, calls, load } = await world(t, config("moderate", ONE_AT_A_TIME), { pollIntervalMs: 1000 });
  const first = ask("/");
  const waiting = [ask("/"), ask("/"), ask("/")];
  client.close();
  client.close();
  for (const promise of waiting) isOf(await thrown(promise), ClientClosedError, "client_closed");
  const later = Array.from({ length: 5 }, () => ask("/"));
  assert.equal(calls.length, 6);
  for (const { resolve } of calls) resolve(new Response());
  await Promise.all([first, ...later]);
  const { asked } = host;
  await sleep(50);
  assert.deepEqual([host.asked, client.state.transport, load().queued], [asked, "none", 0]);
  await assert.rejects(client.refresh(), { code: "client_closed" });
});

/** A client of a real server. */
async function pair(t, app) {
  const server = await backend({ app });
  const client = await createClient({ baseUrl: server.url });
  t.after(async () => {
    client.close();
    await server.stop();
  });
  await until(() => client.state.config, "a config");
  return { server, client };
}

test("wrong arguments are the platform's TypeError, and no evidence about the server", async (t) => {
  const { server, client } = await pair(t);
  for (let i = 0; i < 12; i += 1) {
    await assert.rejects(client.fetch(server.url, { method: "GET", body: "x" }), TypeError);
    await sleep(130);
  }
  assert.deepEqual([client.state.breaker, server.seen.app.length], ["closed", 0], "the server was not even asked");
});

test("no contact opens the breaker, without a word from the server", async (t) => {
  const { server, client } = await pair(t, (request) => request.socket.destroy());
  server.routes.config = () => "";
  let failures = 0;
  while (client.state.breaker === "closed") {
    assert.ok(failures < 40, "forty failures in five seconds, and the breaker is still closed");
    await assert.rejects(client.fetch(server.url, { method: "POST" }), TypeError);
    failures += 1;
    await sleep(130);
  }
  await assert.rejects(client.fetch(server.url), { code: "circuit_open" });
  assert.equal(server.seen.app.length, failures);
});

for (const [what, app] of /** @type {const} */ ([
  ["gets no answer", (request) => request.socket.destroy()],
  ["is a dead service behind the same proxy", (_, response) => response.writeHead(502).end()],
])) {
  test(`one path that ${what} holds back no other, while the server answers`, async (t) => {
    const { server, client } = await pair(t, (request, response) =>
      request.url === "/dead" ? app(request, response) : response.end(),
    );
    const { config: asked } = server.seen;
    for (let count = 0; count < 24; count += 1) {
      await client.fetch(`${server.url}/dead`, { method: "POST" }).catch((error) => assert.ok(error instanceof TypeError));
      await sleep(130);
    }
    assert.equal((await client.fetch(`${server.url}/orders`)).status, 200);
    assert.equal(client.state.breaker, "closed");
    const questions = server.seen.config - asked;
    assert.ok(questions > 0 && questions < 6, `${questions} questions for 24 failures`);
  });
}
