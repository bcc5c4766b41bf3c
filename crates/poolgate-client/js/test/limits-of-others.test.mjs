// What the server says besides its config: the gate's rejections, and limits of single routes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { backend, fixture, load, until } from "./support.mjs";

const { createClient } = await load();
const CONFIG = "e=1763880000000, v=41, level=NORMAL, concurrency=10, open=?0";
const PROBLEM = "application/problem+json";

/**
 * A client, its server, and what that answers by path.
 * @param {any} t
 * @param {Record<string, { status?: number, headers?: object, body?: string }>} answers
 * @param {object} [options]
 */
async function pair(t, answers, options = {}) {
  const app = (request, response) => {
    const { status = 200, headers = {}, body = "{}" } = answers[new URL(request.url, "http://x").pathname] ?? {};
    response.writeHead(status, headers).end(body);
  };
  const server = await backend({ app, config: () => JSON.parse(fixture("config-normal.json")) });
  const client = await createClient({ baseUrl: server.url, ...options });
  t.after(async () => {
    client.close();
    await server.stop();
  });
  await until(() => client.state.config, "a config");
  /** Asks, and how long it took. */
  const ask = async (path, init) => {
    const began = performance.now();
    const response = await client.fetch(`${server.url}${path}`, init);
    return { response, ms: performance.now() - began };
  };
  const paused = () => client.state.etaMs === null || client.state.etaMs.earliest > 100;
  return { client, server, ask, paused };
}

const problem = (code, headers) => ({
  status: code === "quota_exceeded" ? 429 : 503,
  headers: { "content-type": PROBLEM, "poolgate-config": CONFIG, ...headers },
  body: JSON.stringify({ type: "about:blank", code }),
});

for (const [name, answer] of Object.entries({
  "Retry-After": problem("database_unavailable", { "retry-after": "1" }),
  "RateLimit, where there is no Retry-After": problem("quota_exceeded", { ratelimit: '"per-client";r=0;t=1' }),
  "nothing more": problem("quota_exceeded", {}),
  "its problem type alone": {
    ...problem("", { "retry-after": "1" }),
    body: JSON.stringify({ type: "https://iana.org/assignments/http-problem-types#quota-exceeded" }),
  },
})) {
  test(`a rejection by the gate with ${name} pauses everything`, async (t) => {
    const { ask, paused } = await pair(t, { "/rejected": answer });
    const { response } = await ask("/rejected");
    assert.equal(response.bodyUsed, false);
    assert.equal(await response.text(), answer.body, "the app reads it all the same");
    await until(paused, "the pause");
    const { ms } = await ask("/other");
    assert.ok(ms > 700 && ms < 3000, `${ms} ms`);
  });
}

test("Retry-After comes before RateLimit", async (t) => {
  const headers = { "retry-after": "1", ratelimit: '"per-client";r=0;t=60' };
  const { ask, paused } = await pair(t, { "/rejected": problem("quota_exceeded", headers) });
  await ask("/rejected");
  await until(paused, "the pause");
  const { ms } = await ask("/other");
  assert.ok(ms > 700 && ms < 3000, `${ms} ms`);
});

for (const [name, answer] of Object.entries({
  "another code": problem("too_many_sign_ins", { "retry-after": "60" }),
  "no Poolgate-Config": { ...problem("quota_exceeded"), headers: { "content-type": PROBLEM, "retry-after": "60" } },
  "no document": { status: 503, headers: { "poolgate-config": CONFIG, "retry-after": "60" }, body: "busy" },
  "a broken document": { ...problem("", { "retry-after": "60" }), body: '{"code":' },
  "a cache's Age": problem("database_unavailable", { "retry-after": "60", age: "3" }),
})) {
  test(`a rejection with ${name} pauses nothing`, async (t) => {
    const { ask, paused } = await pair(t, { "/rejected": answer });
    for (let i = 0; i < 3; i += 1) await (await ask("/rejected")).response.text();
    await sleep(50);
    assert.equal(paused(), false);
    assert.ok((await ask("/rejected")).ms < 500);
  });
}

test("limits of others hold their own route, where the app wants it", async (t) => {
  const answers = {
    "/login": { status: 429, headers: { "retry-after": "1" } },
    "/gated-login": { ...problem("too_many_sign_ins", { "retry-after": "1" }) },
    "/quota": { headers: { ratelimit: '"minute";r=2;t=1', "ratelimit-policy": '"minute";q=100;w=60' } },
    "/window": { headers: { ratelimit: '"second";r=0', "ratelimit-policy": '"second";q=1;w=1' } },
    "/cached": { headers: { ratelimit: '"minute";r=0;t=60', age: "3" } },
    "/malformed": { headers: { ratelimit: "limit=1, remaining=none, reset=60" } },
    "/draft-7": { headers: { ratelimit: "limit=100, remaining=0, reset=1" } },
    "/draft-6": { headers: { "ratelimit-limit": "100", "ratelimit-remaining": "0", "ratelimit-reset": "1" } },
    "/time-of-day": { headers: { "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(Math.ceil(Date.now() / 1000) + 600) } },
    "/date": { status: 503, headers: { "retry-after": new Date(Date.now() + 600_000).toUTCString() } },
    "/no-date": { status: 503, headers: { "retry-after": "May 9999" } },
  };
  const { client, ask, server } = await pair(t, answers, { honourForeignLimits: true });

  await t.test("Retry-After of another part of the server", async () => {
    for (const path of ["/login", "/gated-login"]) {
      await (await ask(path)).response.text();
      await sleep(50);
      const later = ask(`${path}?another=query`);
      await until(() => client.state.queued === 1, `a wait for ${path}`);
      assert.ok((await ask("/other")).ms < 500, "nothing else waits");
      const { ms } = await later;
      assert.ok(ms > 900 && ms < 3000, `${path}: ${ms} ms`);
      assert.equal(client.state.queued, 0);
    }
  });
  await t.test("a quota is used up, and no further", async () => {
    await ask("/quota");
    const times = await Promise.all([1, 2, 3].map(() => ask("/quota")));
    const [first, second, third] = times.map(({ ms }) => ms).sort((a, b) => a - b);
    assert.ok(second < 500 && third > 700, `${first}, ${second}, ${third} ms`);
  });
  await t.test("the policy's window is the longest that it can take", async () => {
    await ask("/window");
    const { ms } = await ask("/window");
    assert.ok(ms > 700 && ms < 3000, `${ms} ms`);
  });
  await t.test("older forms of the same are understood", async () => {
    for (const path of ["/draft-7", "/draft-6"]) {
      await ask(path);
      const { ms } = await ask(path);
      assert.ok(ms > 700 && ms < 3000, `${path}: ${ms} ms`);
    }
    await ask("/time-of-day");
    await assert.rejects(ask("/time-of-day", { poolgate: { queueTimeoutMs: 50 } }), { code: "queue_timeout" });
  });
  await t.test("what is cached or malformed says nothing", async () => {
    for (const path of ["/cached", "/malformed", "/no-date"]) {
      await ask(path);
      assert.ok((await ask(path)).ms < 500, path);
    }
  });
  await t.test("a wait has its limit, and may be given up", async () => {
    await ask("/date");
    const late = client.fetch(`${server.url}/date`, { poolgate: { queueTimeoutMs: 100 } });
    await assert.rejects(late, { code: "queue_timeout" });
    const reason = { own: "reason" };
    const controller = new AbortController();
    const given = client.fetch(`${server.url}/date`, { signal: controller.signal });
    await until(() => client.state.queued === 1, "the wait");
    controller.abort(reason);
    await assert.rejects(given, (error) => error === reason);
    await until(() => client.state.queued === 0, "its end");
    assert.ok((await ask("/date", { poolgate: { bypass: true } })).ms < 500);
  });
  await t.test("another server is listened to as well", async () => {
    const other = await backend({ app: (_, response) => response.writeHead(429, { "retry-after": "1" }).end() });
    try {
      await client.fetch(`${other.url}/api`);
      const began = performance.now();
      await client.fetch(`${other.url}/api`);
      assert.ok(performance.now() - began > 900);
    } finally {
      await other.stop();
    }
  });
  await t.test("who closes rejects what waits", async () => {
    const waiting = client.fetch(`${server.url}/date`);
    await until(() => client.state.queued === 1, "the wait");
    client.close();
    await assert.rejects(waiting, { code: "client_closed" });
    assert.ok((await ask("/date")).ms < 500);
  });
});

test("they do not where the app does not say so", async (t) => {
  const { ask } = await pair(t, { "/login": { status: 429, headers: { "retry-after": "60", ratelimit: '"a";r=0;t=60' } } });
  await ask("/login");
  assert.ok((await ask("/login")).ms < 500);
});
