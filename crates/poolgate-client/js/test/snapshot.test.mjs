// The arguments of a call that waits.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support.mjs";

const { Snapshot } = await load("snapshot.js");
const ADDRESS = "http://app.test/a";

const request = (/** @type {RequestInit} */ init) => new Request(ADDRESS, init);
/** @type {[string, any, any, boolean][]} */
const REPEATABLE = [
  ["no init", ADDRESS, undefined, true],
  ["null", ADDRESS, null, true],
  ["a GET", ADDRESS, { method: "GET" }, true],
  ["a method in lower case", ADDRESS, { method: "delete" }, true],
  ["a HEAD", ADDRESS, { method: "HEAD" }, true],
  ["an OPTIONS", ADDRESS, { method: "OPTIONS" }, true],
  ["a PUT without a body", ADDRESS, { method: "PUT" }, true],
  ["a PUT with null for a body", ADDRESS, { method: "PUT", body: null }, true],
  ["a PUT with an empty body", ADDRESS, { method: "PUT", body: "" }, false],
  ["a PUT with a body", ADDRESS, { method: "PUT", body: "x" }, false],
  ["a DELETE", ADDRESS, { method: "DELETE" }, true],
  ["a DELETE with a body", ADDRESS, { method: "DELETE", body: "x" }, false],
  ["a POST", ADDRESS, { method: "POST" }, false],
  ["a PATCH", ADDRESS, { method: "PATCH" }, false],
  ["a method of the app's own", ADDRESS, { method: "GETALL" }, false],
  ["a Request", request({}), undefined, true],
  ["a Request that is a POST", request({ method: "POST" }), undefined, false],
  ["a Request that is a PUT with a body", request({ method: "PUT", body: "x" }), undefined, false],
  ["a Request that is a DELETE", request({ method: "DELETE" }), undefined, true],
  ["a Request that init makes a POST", request({}), { method: "POST" }, false],
  ["a Request that init makes a GET", request({ method: "POST" }), { method: "GET" }, true],
  ["a Request that init gives a body", request({ method: "PUT" }), { body: "x" }, false],
  ["an init with inherited members", ADDRESS, request({ method: "POST" }), false],
];
for (const [what, input, init, expected] of REPEATABLE) {
  test(`${expected ? "may" : "may not"} be repeated: ${what}`, () => {
    assert.equal(new Snapshot(input, init).isRepeatable, expected);
  });
}

test("keepalive is seen wherever it is said", () => {
  const isKeepalive = (/** @type {any} */ input, /** @type {any} */ init) => new Snapshot(input, init).isKeepalive;
  assert.deepEqual(
    [isKeepalive(ADDRESS, { keepalive: true }), isKeepalive(request({ keepalive: true }), undefined), isKeepalive(ADDRESS, null)],
    [true, true, false],
  );
});

test("arguments that can be sent again are the same again", () => {
  const snapshot = new Snapshot(new URL(ADDRESS), { headers: { "x-a": "1" } });
  const [first, second] = [snapshot.arguments(), snapshot.arguments()];
  assert.deepEqual(first, second);
  assert.equal(first[0], ADDRESS);
  assert.equal(first[1].headers.get("x-a"), "1");
});

test("wrong arguments fail at once, and lock nothing", () => {
  const body = new ReadableStream();
  assert.throws(() => new Snapshot(ADDRESS, { method: "POST", body }), TypeError, "`duplex` is missing");
  assert.equal(body.locked, false);
  assert.throws(() => new Snapshot("http://[", {}), TypeError);
  assert.throws(() => new Snapshot(ADDRESS, { get method() { throw new RangeError("own"); } }), RangeError);
});

test("a stream that is aborted is told why, and let go", async () => {
  /** @type {unknown[]} */
  const told = [];
  const body = new ReadableStream({ cancel: (reason) => void told.push(reason) });
  const snapshot = new Snapshot(ADDRESS, { method: "POST", body, duplex: "half" });
  assert.ok(body.locked);
  snapshot.cancel("why");
  assert.deepEqual([told, body.locked], [["why"], false]);
});
