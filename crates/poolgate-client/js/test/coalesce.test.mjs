// Identical GETs in flight share one request.

import assert from "node:assert/strict";
import { test } from "node:test";

import { backend, config, load, until } from "./support.mjs";

const { createClient } = await load();

/** A client that coalesces, and a server that answers when it is told. */
async function pair(t, options = {}, document = () => config("normal")) {
  const held = [];
  const app = (request, response) => {
    const part = request.url.includes("parts");
    if (part) response.writeHead(200, { "x-part": "1" }).write("first ");
    held.push(() => response.end(`answer ${held.length}`));
    request.socket.on("error", () => {});
    response.on("close", () => (gone += response.writableFinished ? 0 : 1));
  };
  let gone = 0;
  const server = await backend({ app, config: document });
  const client = await createClient({ baseUrl: server.url, coalesce: true, ...options });
  t.after(async () => {
    client.close();
    await server.stop();
  });
  await until(() => client.state.config, "a config");
  const arrived = (count) => until(() => server.seen.app.length === count, `${count} requests`);
  const answer = () => held.splice(0).forEach((end) => end());
  return { client, server, arrived, answer, gone: () => gone, url: `${server.url}/a` };
}

test("each caller gets a response of its own", async (t) => {
  const { client, server, arrived, answer, url } = await pair(t);
  const calls = [url, new URL(url), new Request(url), url].map((input) => client.fetch(input));
  await arrived(1);
  assert.equal(client.state.inFlight, 1);
  answer();
  const responses = await Promise.all(calls);
  assert.equal(new Set(responses).size, 4);
  const texts = await Promise.all(responses.map((response) => response.text()));
  assert.deepEqual(new Set(texts).size, 1);
  assert.ok(responses.every((response) => response.url === url && response.status === 200));
  assert.equal(server.seen.app.length, 1);

  const later = client.fetch(url);
  await arrived(2);
  answer();
  assert.equal((await later).status, 200, "what has been answered is not kept");
});

test("what differs is not shared", async (t) => {
  const { client, arrived, answer, url } = await pair(t);
  const calls = [
    [url],
    [`${url}?b`],
    [url, { headers: { "x-a": "1" } }],
    [url, { headers: { "x-a": "2" } }],
    [url, { cache: "no-store" }],
    [url, { next: { tags: [] } }],
    [url, { next: { tags: [] } }],
    [url, { method: "POST" }],
    [url, { method: "POST" }],
    [url, { poolgate: { priority: "high" } }],
  ].map((args) => client.fetch(...args));
  await arrived(calls.length);
  answer();
  await Promise.all(calls);
  const same = [{ headers: { "X-A": "1" } }, { headers: [["x-a", "1"]] }].map((init) => client.fetch(url, init));
  await arrived(calls.length + 1);
  answer();
  await Promise.all(same);
});

test("a caller that gives up leaves the others alone, and the last one ends the request", async (t) => {
  const { client, server, arrived, answer, gone, url } = await pair(t);
  const controllers = Array.from({ length: 3 }, () => new AbortController());
  const calls = controllers.map(({ signal }) => client.fetch(url, { signal }));
  await arrived(1);
  controllers[0].abort("first");
  await assert.rejects(calls[0], (reason) => reason === "first");
  controllers[1].abort("second");
  await assert.rejects(calls[1], (reason) => reason === "second");
  answer();
  assert.equal(await (await calls[2]).text(), "answer 0");

  const last = client.fetch(url, { signal: controllers[2].signal });
  await arrived(2);
  controllers[2].abort("third");
  await assert.rejects(last, (reason) => reason === "third");
  await until(() => gone() === 1, "the connection is given up");
  assert.equal(client.state.inFlight, 0);
  const next = client.fetch(url);
  await arrived(3);
  answer();
  await next;
  assert.equal(server.seen.app.length, 3, "a request that was given up takes no more callers");
});

test("a body without a reader ends", async (t) => {
  const { client, arrived, answer, gone, server } = await pair(t);
  const url = `${server.url}/parts`;
  const controllers = [new AbortController(), new AbortController()];
  const responses = Promise.all(controllers.map(({ signal }) => client.fetch(url, { signal })));
  await arrived(1);
  const [first, second] = (await responses).map((response) => response.text());
  controllers[0].abort("first");
  answer();
  assert.match(await second, /^first answer/);
  await first;

  const alone = new AbortController();
  const response = await client.fetch(url, { signal: alone.signal });
  const text = response.text();
  alone.abort("alone");
  await assert.rejects(text, (reason) => reason === "alone" || reason?.name === "AbortError");
  await until(() => gone() === 1, "the connection is given up");
});

test("what fails fails for all", async (t) => {
  const { client, server, arrived, url } = await pair(t);
  const calls = [client.fetch(url), client.fetch(url)];
  await arrived(1);
  await server.stop();
  for (const call of calls) await assert.rejects(call, TypeError);
});

test("a response that cannot be cloned fails for all", { timeout: 5000 }, async (t) => {
  const read = async (...args) => {
    const response = await fetch(...args);
    if (response.url.endsWith("/a")) await response.text();
    return response;
  };
  const { client, arrived, answer, url } = await pair(t, { fetch: read });
  const calls = [client.fetch(url), client.fetch(url)];
  await arrived(1);
  answer();
  for (const call of calls) await assert.rejects(call, TypeError);
});

test("one place in the queue serves all", async (t) => {
  const limited = () => config("moderate", { fair_rate_per_second: 1000, max_concurrent_requests: 1 });
  const { client, server, arrived, answer, url } = await pair(t, {}, limited);
  await until(() => client.state.enforced, "limits");
  const first = client.fetch(`${server.url}/first`);
  await arrived(1);
  const calls = Array.from({ length: 5 }, () => client.fetch(url));
  assert.equal(client.state.queued, 1);
  answer();
  await first;
  await arrived(2);
  answer();
  assert.equal((await Promise.all(calls)).length, 5);
});

test("arguments that are wrong are said to be so, and used ones are not used again", async (t) => {
  const { client, url } = await pair(t);
  await assert.rejects(client.fetch(url, { body: "with GET" }), TypeError);
  await assert.rejects(client.fetch("http://[broken"), TypeError);
  await assert.rejects(client.fetch(url, { signal: AbortSignal.abort("why") }), (reason) => reason === "why");
  const request = new Request(url, { method: "POST", body: "x" });
  const init = { signal: AbortSignal.abort("why") };
  await assert.rejects(client.fetch(request, init), (reason) => reason === "why");
});
