// The arguments of a call that waits.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { runInNewContext } from "node:vm";

import { load } from "./support.mjs";

const { Snapshot } = await load("requests/snapshot.js");
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
  assert.deepEqual(first[1].headers, [["x-a", "1"]]);
});

test("names of headers stay as they are written, and values as they were", () => {
  const list = [["SOAPAction", "a"], ["X-AA-Mixed", "1"]];
  const record = { SOAPAction: "a", "X-AA-Mixed": 1 };
  const kept = [list, record].map((headers) => new Snapshot(ADDRESS, { headers }));
  list[0][1] = record.SOAPAction = "changed";
  list.push(["x-new", "2"]);
  for (const snapshot of kept) assert.deepEqual(snapshot.arguments()[1].headers, [["SOAPAction", "a"], ["X-AA-Mixed", "1"]]);
  for (const wrong of [[["a"]], [["a", "b", "c"]], { "bad name": "x" }, { a: Symbol("x") }, 5]) {
    assert.throws(() => new Snapshot(ADDRESS, { headers: wrong }), TypeError, String(wrong));
  }
});

test("an object that is a text to fetch is one at once, and once", () => {
  const list = [1, 2];
  const address = new URL(ADDRESS);
  let asked = 0;
  const own = { toString: () => `asked ${(asked += 1)}` };
  const kept = [list, address, own].map((body) => new Snapshot(ADDRESS, { method: "POST", body }));
  list.push(3);
  address.pathname = "/changed";
  assert.deepEqual(kept.map((snapshot) => snapshot.arguments()[1].body), ["1,2", ADDRESS, "asked 1"]);
  assert.equal(asked, 1);
});

test("what libraries have for a body is left to their own fetch", () => {
  class FormData {
    get [Symbol.toStringTag]() {
      return "FormData";
    }
  }
  const bodies = [new FormData(), { pipe() {} }, new Blob(["x"]), "text"];
  for (const body of bodies) assert.equal(new Snapshot(ADDRESS, { method: "POST", body }).arguments()[1].body, body);
});

test("bytes of another realm are copied", () => {
  const bytes = runInNewContext("Uint8Array.of(1, 2, 3)");
  assert.ok(!(bytes instanceof Uint8Array));
  const kept = [bytes, bytes.buffer].map((body) => new Snapshot(ADDRESS, { method: "POST", body }));
  bytes.fill(9);
  for (const snapshot of kept) assert.deepEqual([...new Uint8Array(snapshot.arguments()[1].body)], [1, 2, 3]);
});

test("a body that is asked for its iterator is asked by the host alone", () => {
  let asked = 0;
  const body = {
    [Symbol.asyncIterator]() {
      asked += 1;
      return (async function* () {
        yield new Uint8Array(1);
      })();
    },
  };
  const [, init] = new Snapshot(ADDRESS, { method: "POST", body, duplex: "half" }).arguments();
  assert.deepEqual([asked, init.body === body], [0, true]);
  assert.throws(() => new Snapshot(ADDRESS, { body, duplex: "half" }), TypeError, "a GET has none");
});

test("members that are inherited are kept, also those of the host's own", () => {
  const dispatcher = { dispatch() {} };
  assert.equal(new Snapshot(ADDRESS, Object.create({ dispatcher })).arguments()[1].dispatcher, dispatcher);
});

test("nothing listens to a signal that many calls share", () => {
  const { signal } = new AbortController();
  const kept = Array.from({ length: 50 }, () => new Snapshot(ADDRESS, { signal }));
  assert.deepEqual([kept.length, getEventListeners(signal, "abort").length], [50, 0]);
  assert.throws(() => new Snapshot(ADDRESS, { signal: {} }), TypeError, "no signal at all");
});

test("a request of another class stays as it is", () => {
  class OtherRequest {
    url = ADDRESS;
    method = "POST";
    headers = new Map();
  }
  const request = new OtherRequest();
  const snapshot = new Snapshot(request, undefined);
  assert.deepEqual([snapshot.arguments(), snapshot.isRepeatable], [[request, undefined], false]);
});

test("a body has a size, about", () => {
  const sizes = [undefined, "ü", new Uint8Array(5), new ArrayBuffer(6), new Blob(["1234567"]), new URLSearchParams({ a: "1" })];
  assert.deepEqual(
    sizes.map((body) => new Snapshot(ADDRESS, { method: "POST", body }).size),
    [0, 2, 5, 6, 7, 3],
  );
  assert.equal(new Snapshot(new Request(ADDRESS, { method: "POST", body: "x" }), undefined).size, 65_536, "unknown");
  assert.equal(new Snapshot(new Request(ADDRESS), undefined).size, 0);
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
