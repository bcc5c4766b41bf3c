// Retries: what may be repeated, how often, and when not.

import assert from "node:assert/strict";
import { test } from "node:test";

import { backend, config, load, until } from "./support.mjs";

const { createClient } = await load();

/** A client, and a server whose app fails until it is told otherwise. */
async function pair(t, options, { document = () => config("normal"), fail } = {}) {
  const answers = { fail: true, status: 503, headers: {} };
  const app = (request, response) => {
    if (!answers.fail) return response.end("{}");
    if (fail) return fail(request, response);
    return response.writeHead(answers.status, answers.headers).end("busy");
  };
  const server = await backend({ app, config: document });
  const client = await createClient({ baseUrl: server.url, retries: 2, ...options });
  t.after(async () => {
    client.close();
    await server.stop();
  });
  await until(() => client.state.config, "a config");
  return { client, server, answers, url: `${server.url}/a` };
}

/** Enough requests to pay for this number of retries. */
async function earn(client, server, answers, retries) {
  answers.fail = false;
  await Promise.all(Array.from({ length: 10 * retries + 11 }, () => client.fetch(`${server.url}/earn`)));
  answers.fail = true;
  server.seen.app.length = 0;
}

test("a failed request is tried again, and the app gets the last answer", async (t) => {
  const { client, server, answers, url } = await pair(t);
  await earn(client, server, answers, 5);
  const response = await client.fetch(url);
  assert.deepEqual([response.status, await response.text(), server.seen.app.length], [503, "busy", 3]);
  setTimeout(() => (answers.fail = false), 50);
  assert.equal((await client.fetch(url)).status, 200);
});

test("so is one that broke off", async (t) => {
  const fail = (request) => request.socket.destroy();
  const { client, server, answers, url } = await pair(t, {}, { fail });
  await earn(client, server, answers, 5);
  await assert.rejects(client.fetch(url), TypeError);
  const reached = server.seen.app.length;
  assert.ok(reached >= 3, `${reached}`);
});

test("only what is idempotent and has no body", async (t) => {
  const { client, server, answers, url } = await pair(t);
  await earn(client, server, answers, 10);
  const times = async (init) => {
    server.seen.app.length = 0;
    await client.fetch(...(init instanceof Request ? [init] : [url, init]));
    return server.seen.app.length;
  };
  assert.equal(await times({ method: "POST" }), 1);
  assert.equal(await times({ method: "PATCH" }), 1);
  assert.equal(await times({ method: "PUT", body: "x" }), 1);
  assert.equal(await times(new Request(url, { method: "DELETE", body: "x" })), 1);
  assert.equal(await times({ method: "DELETE" }), 3);
  assert.equal(await times(new Request(url)), 3);
  answers.status = 500;
  assert.equal(await times({}), 1, "a bug is not busy");
});

test("all retries together are a tenth of the requests", async (t) => {
  const { client, server, url } = await pair(t);
  for (let i = 0; i < 60; i += 1) await (await client.fetch(url)).text();
  assert.equal(server.seen.app.length, 66);
});

test("one request may choose for itself", async (t) => {
  const { client, server, answers, url } = await pair(t);
  await earn(client, server, answers, 5);
  await client.fetch(url, { poolgate: { retries: 0 } });
  assert.equal(server.seen.app.length, 1);
  await assert.rejects(client.fetch(url, { poolgate: { retries: 6 } }), TypeError);
});

test("without the option there is none", async (t) => {
  const { client, server, answers, url } = await pair(t, { retries: undefined });
  await earn(client, server, answers, 5);
  await client.fetch(url);
  assert.equal(server.seen.app.length, 1);
  await client.fetch(url, { poolgate: { retries: 1 } });
  assert.equal(server.seen.app.length, 3);
  await assert.rejects(createClient({ baseUrl: server.url, retries: 9 }), TypeError);
});

test("above MODERATE there is none", async (t) => {
  const document = () => config("moderate", { throttling_level: "AGGRESSIVE", fair_rate_per_second: 100 });
  const { client, server, url } = await pair(t, {}, { document });
  await client.fetch(url);
  assert.equal(server.seen.app.length, 1);
});

test("Retry-After is obeyed, and a long one ends it", async (t) => {
  const { client, server, answers, url } = await pair(t, { retries: 1 });
  await earn(client, server, answers, 5);
  answers.headers = { "retry-after": "1" };
  const began = performance.now();
  await client.fetch(url);
  assert.equal(server.seen.app.length, 2);
  assert.ok(performance.now() - began > 1000);
  answers.headers = { "retry-after": "60" };
  assert.equal((await client.fetch(url)).status, 503);
  assert.equal(server.seen.app.length, 3);
});

test("an abort between two attempts ends it at once, with the reason", async (t) => {
  const { client, server, answers, url } = await pair(t);
  answers.headers = { "retry-after": "20" };
  const controller = new AbortController();
  const call = client.fetch(url, { signal: controller.signal });
  await until(() => client.state.queued === 1, "the wait");
  const reason = { own: "reason" };
  controller.abort(reason);
  await assert.rejects(call, (error) => error === reason);
  await until(() => client.state.queued === 0, "its end");
  assert.deepEqual([client.state.inFlight, server.seen.app.length], [0, 1]);
  const waiting = client.fetch(url, { poolgate: { retries: 1 } });
  client.close();
  await waiting.then((response) => assert.equal(response.status, 503), (error) => assert.equal(error.code, "client_closed"));
});
