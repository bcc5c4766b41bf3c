// The numbers of routes that other limiters than the gate limit.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support.mjs";

await (await load()).init();
const { routeOf } = await load("extras/routes.js");
const { Engine } = await load("engine/engine.js");
const newEngine = () => new Engine({ maxQueue: 256, queueTimeoutMs: 10_000 }, {});

test("a route is an origin and a path, however it is written", () => {
  const number = routeOf("http://app.test/a");
  for (const same of ["http://app.test/a?b#c", new URL("http://app.test/x/../a"), new Request("http://app.test/a")]) {
    assert.equal(routeOf(same), number, String(same));
  }
  const others = ["http://app.test/b", "http://app.test/a/", "https://app.test/a", "http://app.test:81/a"];
  assert.equal(new Set([number, ...others.map(routeOf)]).size, 5);
});

test("a route keeps its number, and no other route has it", () => {
  const at = (/** @type {number} */ index) => routeOf(`http://app.test/${index}`);
  const numbers = Array.from({ length: 100_000 }, (_, index) => at(index));
  assert.equal(new Set(numbers).size, 100_000);
  assert.ok(numbers.every(Number.isSafeInteger) && numbers.every((number) => number >= 0));
  assert.deepEqual([at(0), at(1)], numbers.slice(0, 2));
});

test("what one route is told holds for it alone", () => {
  const engine = newEngine();
  const [held, free] = ["a", "b"].map((path) => routeOf(`http://app.test/${path}`));
  engine.learnRoute(held, { retryAfterMs: 60_000 });
  assert.ok(engine.admit(held) >= performance.now() + 59_000);
  assert.equal(engine.admit(free), Infinity);
  engine.learnRoute(free, { quota: { remaining: 1, reset: 60 } });
  assert.equal(engine.admit(free), Infinity, "one is left");
  assert.ok(engine.admit(free) < Infinity);
  engine.learnRoute(free, {});
  assert.ok(engine.admit(free) < Infinity, "an answer that says nothing changes nothing");
});
