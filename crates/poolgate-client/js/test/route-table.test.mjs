// The numbers of routes that other limiters than the gate have spoken of.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support.mjs";

await (await load()).init();
const { RouteTable } = await load("route-table.js");
const { Throttle } = await load("poolgate_client.js");
const newTable = () => new RouteTable(new Throttle(256, 10_000, 7));

test("a route is an origin and a path, however it is written", () => {
  const table = newTable();
  const number = table.routeOf("http://app.test/a");
  for (const same of ["http://app.test/a?b#c", new URL("http://app.test/x/../a"), new Request("http://app.test/a")]) {
    assert.equal(table.routeOf(same), number, String(same));
  }
  const others = ["http://app.test/b", "http://app.test/a/", "https://app.test/a", "http://app.test:81/a"];
  assert.equal(new Set([number, ...others.map((other) => table.routeOf(other))]).size, 5);
});

test("a number is kept while its route is among the last thousand", () => {
  const table = newTable();
  const at = (/** @type {number} */ index) => table.routeOf(`http://app.test/${index}`);
  const [first, second] = [at(0), at(1)];
  for (let index = 2; index < 1000; index += 1) at(index);
  assert.deepEqual([at(0), at(1)], [first, second], "a thousand are known");
  for (let index = 1000; index < 1999; index += 1) {
    at(index);
    assert.equal(at(0), first, "whoever is asked for is not forgotten");
  }
  assert.notEqual(at(1), second, "the one that was not is");
});

test("what one route is told holds for it alone", () => {
  const table = newTable();
  const [held, free] = ["a", "b"].map((path) => table.routeOf(`http://app.test/${path}`));
  table.learn(held, { retryAfterMs: 60_000 });
  assert.ok(table.admit(held) >= performance.now() + 59_000);
  assert.equal(table.admit(free), Infinity);
  table.learn(free, { quota: { remaining: 1, reset: 60 } });
  assert.equal(table.admit(free), Infinity, "one is left");
  assert.ok(table.admit(free) < Infinity);
  table.learn(free, {});
  assert.ok(table.admit(free) < Infinity, "an answer that says nothing changes nothing");
});
