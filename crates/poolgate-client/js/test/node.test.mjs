// The package in Node, against a real HTTP server: it polls there, obeys what it hears, and never stands in the way.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

import { backend, config, fixture, load, packageUrl, until } from "./support.mjs";

const { PoolgateError, createClient, createThrottledFetch, isPoolgateError } = await load();

/** A client and its server, both ended with the test. */
async function pair(t, routes, options = {}) {
  const server = await backend(routes);
  const client = await createClient({ baseUrl: server.url, ...options });
  t.after(async () => {
    client.close();
    await server.stop();
  });
  return { server, client };
}

/** What `console.warn` was told while `act` ran. */
async function warnings(t, act) {
  const warn = t.mock.method(console, "warn", () => {});
  await act();
  return warn.mock.calls.map((call) => String(call.arguments[0]));
}

test("polls for the config and shows it", async (t) => {
  const { client } = await pair(t);
  await until(() => client.state.config, "a config");
  const { config: document, ...state } = client.state;
  assert.deepEqual(document, JSON.parse(fixture("config-normal.json")));
  assert.deepEqual(state, {
    level: "NORMAL",
    health: "HEALTHY",
    breaker: "closed",
    enforced: false,
    inFlight: 0,
    queued: 0,
    oldestWaitMs: 0,
    etaMs: { earliest: 0, latest: 0 },
    stale: false,
    transport: "poll",
    ratePerSecond: null,
  });
});

test("a config that limits makes requests wait their turn", async (t) => {
  const { client, server } = await pair(t, { config: () => config("moderate", { fair_rate_per_second: 20 }) });
  await until(() => client.state.enforced, "limits");
  assert.deepEqual([client.state.level, client.state.ratePerSecond], ["MODERATE", 20]);
  let longest = 0;
  client.addEventListener("queuechange", (event) => (longest = Math.max(longest, event.detail.queued)));
  const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => client.fetch(`${server.url}/${i}`)));
  assert.ok(answers.every((answer) => answer.ok));
  assert.ok(longest >= 8, `only ${longest} waited`);
  const starts = server.seen.app.map((request) => request.at);
  const span = starts.at(-1) - starts[0];
  assert.ok(span > 250, `12 requests at 20 a second within ${span} ms`);
  assert.deepEqual([client.state.queued, client.state.inFlight], [0, 0]);
});

test("state says how long a wait will be", async (t) => {
  // Less than a second in all: those that come later would go first otherwise.
  const { client, server } = await pair(t, { config: () => config("moderate", { fair_rate_per_second: 10 }) });
  await until(() => client.state.enforced, "limits");
  const calls = Array.from({ length: 7 }, () => client.fetch(`${server.url}/a`));
  const began = performance.now();
  const { queued, etaMs } = client.state;
  assert.ok(queued >= 5 && etaMs, JSON.stringify(client.state));
  const last = client.fetch(`${server.url}/last`).then(() => performance.now() - began);
  await Promise.all(calls.slice(0, 4));
  assert.ok(client.state.oldestWaitMs > 50, `${client.state.oldestWaitMs}`);
  await Promise.all(calls);
  const waited = await last;
  assert.ok(etaMs.earliest - 50 <= waited && waited <= etaMs.latest + 200, `${waited} ms, foreseen ${JSON.stringify(etaMs)}`);
  assert.deepEqual([client.state.queued, client.state.oldestWaitMs], [0, 0]);
});

test("no header is added to an app's request", async (t) => {
  const { client, server } = await pair(t, { config: () => config("moderate", { fair_rate_per_second: 50 }) });
  await until(() => client.state.enforced, "limits");
  await Promise.all(Array.from({ length: 4 }, () => client.fetch(`${server.url}/a`, { headers: { "x-app": "1" } })));
  await fetch(`${server.url}/native`, { headers: { "x-app": "1" } });
  const [native, ...ours] = server.seen.app.reverse().map((request) => Object.keys(request.headers).sort());
  assert.equal(ours.length, 4);
  for (const names of ours) {
    assert.deepEqual(names, native);
  }
});

test("a call that waits keeps its arguments as they were", async (t) => {
  const bodies = [];
  const app = async (request, response) => {
    if (request.url === "/first") return void (free = () => response.end());
    let body = "";
    for await (const chunk of request) body += chunk;
    bodies.push({ body, type: request.headers["content-type"], x: request.headers["x-a"], url: request.url });
    response.end();
  };
  let free;
  const limits = { fair_rate_per_second: 1000, max_concurrent_requests: 1 };
  const { client, server } = await pair(t, { app, config: () => config("moderate", limits) });
  await until(() => client.state.enforced, "limits");
  const first = client.fetch(`${server.url}/first`);
  await until(() => free, "the only slot is taken");

  const url = new URL(`${server.url}/before`);
  const headers = new Headers({ "x-a": "before" });
  const bytes = new TextEncoder().encode("before");
  const form = new URLSearchParams({ when: "before" });
  const upload = new FormData();
  upload.append("when", "before");
  const calls = [bytes, form, upload, bytes.buffer].map((body) => client.fetch(url, { method: "POST", headers, body }));
  const request = new Request(`${server.url}/request`, { method: "PUT", body: "from a request", headers });
  calls.push(client.fetch(request));
  assert.equal(client.state.queued, 5, "all of them wait");
  assert.ok(request.bodyUsed, "a request is taken over at once, as native fetch does");

  url.pathname = "/after";
  headers.set("x-a", "after");
  bytes.fill(65);
  form.set("when", "after");
  upload.set("when", "after");
  free();
  await Promise.all([first, ...calls]);

  assert.deepEqual(bodies.map((seen) => seen.x), Array(5).fill("before"));
  assert.deepEqual(bodies.map((seen) => seen.url), [...Array(4).fill("/before"), "/request"]);
  assert.equal(bodies[0].body, "before");
  assert.deepEqual([bodies[1].body, bodies[1].type], ["when=before", "application/x-www-form-urlencoded;charset=UTF-8"]);
  assert.match(bodies[2].body, /name="when"\r\n\r\nbefore\r\n/);
  assert.match(bodies[2].type, /^multipart\/form-data; boundary=/);
  assert.deepEqual([bodies[3].body, bodies[4].body], ["before", "from a request"]);
});

test("a call that waits is judged at once, by the platform", async (t) => {
  const { client, server } = await pair(t, { config: () => config("moderate", { fair_rate_per_second: 1 }) });
  await until(() => client.state.enforced, "limits");
  const waiting = Array.from({ length: 3 }, () => client.fetch(server.url));
  const { queued } = client.state;
  await assert.rejects(client.fetch(server.url, { method: "GET", body: "x" }), TypeError);
  await assert.rejects(client.fetch(server.url, { headers: { "bad name": "x" } }), TypeError);
  await assert.rejects(client.fetch(server.url, { poolgate: { priority: "urgent" } }), /poolgate.priority/);
  await assert.rejects(client.fetch(server.url, { poolgate: { queueTimeoutMs: -1 } }), /poolgate.queueTimeoutMs/);
  await assert.rejects(client.fetch(), TypeError);
  assert.equal(client.state.queued, queued);
  client.close();
  const results = await Promise.allSettled(waiting);
  const closed = results.filter((result) => result.status === "rejected");
  assert.equal(closed.length, queued);
  for (const { reason } of closed) {
    assert.deepEqual([reason.name, reason.code, isPoolgateError(reason)], ["ClientClosedError", "client_closed", true]);
  }
});

test("a malformed config is ignored and the last good one kept", async (t) => {
  let document = config("moderate");
  const { client } = await pair(t, { config: () => document });
  await until(() => client.state.config, "a config");
  for (const bad of [fixture("config-malformed.json"), "not json", "[]", "null", config("normal", { epoch: -1 })]) {
    document = bad;
    await assert.rejects(client.refresh(), (error) => error.code === "config_unavailable");
    assert.deepEqual(client.state.config, config("moderate"));
  }
  document = config("unknown-words");
  assert.equal((await client.refresh()).version, 46);
  assert.equal(client.state.level, "EMERGENCY", "an unknown level");
  assert.equal(client.state.health, "CRITICAL", "an unknown health");
  assert.equal(client.state.config.reason, "solar_flare", "what is not known is handed on");
});

test("an older config is ignored", async (t) => {
  let document = config("moderate", { version: 50 });
  const { client } = await pair(t, { config: () => document });
  await until(() => client.state.config, "a config");
  document = config("normal");
  assert.equal((await client.refresh()).version, 50);
  assert.equal(client.state.level, "MODERATE");
});

for (const status of [404, 501]) {
  test(`a server that answers ${status} is let alone for good`, async (t) => {
    const { client, server } = await pair(t, { config: () => status }, { pollIntervalMs: 1000 });
    await until(() => server.seen.config === 1, "the question");
    const answers = await Promise.all(Array.from({ length: 30 }, () => client.fetch(server.url)));
    assert.ok(answers.every((answer) => answer.ok));
    await new Promise((later) => setTimeout(later, 1500));
    assert.deepEqual([server.seen.config, client.state.transport], [1, "none"]);
  });
}

test("without a server requests pass, and fail as they do natively", async (t) => {
  const { server, client } = await pair(t);
  await until(() => client.state.config, "a config");
  await server.stop();
  // The first one finds out that the kept connection is dead.
  await fetch(server.url).catch(() => {});
  const ours = await client.fetch(server.url).catch((error) => error);
  const native = await fetch(server.url).catch((error) => error);
  assert.ok(ours instanceof TypeError && native instanceof TypeError);
  assert.equal(ours.message, native.message);
  assert.equal(ours.cause.code, native.cause.code);
  await assert.rejects(client.refresh(), PoolgateError);
});

test("an abort while waiting rejects at once with the reason itself", async (t) => {
  const { client, server } = await pair(t, { config: () => config("moderate", { fair_rate_per_second: 0.5 }) });
  await until(() => client.state.enforced, "limits");
  const reason = { any: "value" };
  const controller = new AbortController();
  const calls = Array.from({ length: 3 }, () => client.fetch(server.url, { signal: controller.signal }));
  const results = Promise.allSettled(calls);
  const { queued } = client.state;
  assert.ok(queued >= 2);
  const start = performance.now();
  controller.abort(reason);
  const rejected = (await results).filter((result) => result.status === "rejected");
  assert.ok(performance.now() - start < 100);
  assert.ok(rejected.length >= queued && rejected.every((result) => result.reason === reason));
  assert.equal(client.state.queued, 0);
});

test("cleanup gives the report, or the server's own code", async (t) => {
  const { client, server } = await pair(t);
  assert.deepEqual(await client.cleanup(), JSON.parse(fixture("cleanup.json")));
  assert.equal(server.seen.cleanup, 1);

  const refusing = await createClient({
    baseUrl: server.url,
    fetch: async () =>
      Response.json({ code: "cleanup_cooldown" }, { status: 429, headers: { "retry-after": "7" } }),
  });
  t.after(() => refusing.close());
  const error = await refusing.cleanup().catch((error) => error);
  assert.deepEqual([error.name, error.code, error.retryAfterMs], ["PoolgateError", "cleanup_cooldown", 7000]);
});

test("wrong options are named", async (t) => {
  for (const [options, name] of [
    [{ baseUrl: "/relative" }, "baseUrl"],
    [{ baseUrl: "data:," }, "baseUrl"],
    [{ transport: "carrier pigeon" }, "transport"],
    [{ pollIntervalMs: 10 }, "pollIntervalMs"],
    [{ maxQueue: 1.5 }, "maxQueue"],
    [{ queueTimeoutMs: Number.NaN }, "queueTimeoutMs"],
    [{ throttles: true }, "throttles"],
    [{ onOpen: "shrug" }, "onOpen"],
    [{ onReject: "shrug" }, "onReject"],
    [{ credentials: "some" }, "credentials"],
    [{ autoCleanup: "yes" }, "autoCleanup"],
    [{ honourForeignLimits: 1 }, "honourForeignLimits"],
    [{ coalesce: "GET" }, "coalesce"],
    [{ retries: -1 }, "retries"],
    [{ fetch: {} }, "fetch"],
  ]) {
    const rejected = createClient({ baseUrl: "http://127.0.0.1:9", ...options });
    await assert.rejects(rejected, (error) => error instanceof TypeError && error.message.includes(`\`${name}\``), name);
  }
  await assert.rejects(createClient("x"), TypeError);
  const said = await warnings(t, async () => {
    (await createClient({ baseUrl: "http://127.0.0.1:9", hedge: true })).close();
  });
  assert.equal(said.length, 1);
  assert.match(said[0], /`hedge`.*no effect/);
});

test("createThrottledFetch works at once, and names a wrong option", async (t) => {
  const server = await backend();
  t.after(() => server.stop());
  const throttled = createThrottledFetch({ baseUrl: server.url, transport: "poll" });
  assert.equal((await throttled(server.url)).status, 200);
  const wrong = { baseUrl: server.url, maxQueue: -1 };
  assert.throws(() => createThrottledFetch(wrong), { name: "TypeError", message: /maxQueue/ });
});

test("a process ends although a client is open", async (t) => {
  const server = await backend();
  t.after(() => server.stop());
  const script = `
    import { createClient } from ${JSON.stringify(packageUrl("node.js").href)};
    const client = await createClient({ baseUrl: ${JSON.stringify(server.url)} });
    console.log((await client.fetch(${JSON.stringify(server.url)})).status, client.state.transport);
  `;
  const run = promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], { timeout: 10_000 });
  assert.match((await run).stdout, /^200 /);
});

test("a process waits for a request that is queued", async (t) => {
  const server = await backend({ config: () => config("moderate", { fair_rate_per_second: 5 }) });
  t.after(() => server.stop());
  const script = `
    import { createClient } from ${JSON.stringify(packageUrl("node.js").href)};
    const client = await createClient({ baseUrl: ${JSON.stringify(server.url)} });
    await client.refresh();
    for (let i = 0; i < 4; i++) client.fetch(${JSON.stringify(server.url)}).then((r) => console.log(r.status));
  `;
  const run = promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], { timeout: 10_000 });
  assert.equal((await run).stdout, "200\n".repeat(4));
});
