// Several servers behind one name, which share nothing: a balancer gives each request to the next one.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { config, load, until } from "./support.mjs";

const { createClient } = await load();

const HOUR = 3_600_000;
const { epoch: EPOCH } = config("normal");

const headerOf = (/** @type {any} */ { epoch, version, throttling_level: level, max_concurrent_requests, circuit_breaker_open }) =>
  `e=${epoch}, v=${version}, level=${level}, concurrency=${max_concurrent_requests}, open=?${Number(circuit_breaker_open)}`;

/** What a server has to say, if it is well and if it has lost its database. */
const well = (/** @type {number} */ epoch) => config("normal", { epoch });
const sick = (/** @type {number} */ epoch) => config("open", { epoch, version: 900 });

/**
 * The servers behind one address; the event stream leads to one of them.
 * @param {import("node:test").TestContext} t
 * @param {any[]} documents
 */
async function balanced(t, documents) {
  const name = { documents, turn: 0, served: 0, turnedAway: 0, url: "" };
  const server = createServer((request, response) => {
    const document = name.documents[(name.turn += 1) % name.documents.length];
    if (request.url?.endsWith("/throttling-config")) {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(document));
      return;
    }
    const headers = { "poolgate-config": headerOf(document) };
    if (document.circuit_breaker_open) {
      name.turnedAway += 1;
      response.writeHead(503, { ...headers, "content-type": "application/problem+json", "retry-after": "5" });
      response.end(JSON.stringify({ code: "database_unavailable" }));
    } else {
      name.served += 1;
      response.writeHead(200, headers).end();
    }
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", () => listening(undefined)));
  name.url = `http://127.0.0.1:${/** @type {any} */ (server.address()).port}`;
  const client = await createClient({ baseUrl: name.url, autoCleanup: false });
  t.after(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  await until(() => client.state.config, "a config");
  return { name, client };
}

for (const [which, epochs] of /** @type {[string, [number, number]][]} */ ([
  ["younger", [EPOCH, EPOCH + 2000]],
  ["older", [EPOCH + 2000, EPOCH]],
])) {
  test(`the ${which} of two servers loses its database: the other one serves as much as before`, async (t) => {
    const [first, second] = epochs;
    const { name, client } = await balanced(t, [well(first), well(second)]);
    const send = async (/** @type {number} */ count) => {
      let refused = 0;
      for (let sent = 0; sent < count; sent += 1) {
        await client.fetch(`${name.url}/orders`).catch(() => (refused += 1));
        await sleep(20);
      }
      return refused;
    };
    assert.equal(await send(10), 0);
    name.documents = [well(first), sick(second)];
    name.served = name.turnedAway = 0;
    const refused = await send(60);
    t.diagnostic(`${name.served} served, ${name.turnedAway} turned away by the server, ${refused} by the client`);
    assert.ok(name.served >= 28 && refused === 0);
    assert.equal(client.state.breaker, "closed");
    name.documents = [{ ...well(first), version: 950 }, { ...well(second), version: 950 }];
    assert.equal(await send(10), 0);
    assert.equal(client.state.breaker, "closed");
  });
}

for (const [from, to] of /** @type {const} */ ([["normal", "aggressive"], ["aggressive", "normal"]])) {
  test(`a server that starts again with an earlier clock is followed: ${from}, then ${to}`, async (t) => {
    const limited = (/** @type {number} */ epoch) => config("moderate", { epoch, fair_rate_per_second: 2 });
    const documents = { normal: well, aggressive: limited };
    const { name, client } = await balanced(t, [documents[from](EPOCH)]);
    assert.equal(client.state.enforced, from === "aggressive");
    name.documents = [documents[to](EPOCH - HOUR)];
    assert.equal((await client.refresh()).epoch, EPOCH - HOUR);
    assert.deepEqual([client.state.enforced, client.state.stale], [to === "aggressive", false]);
  });
}
