import assert from "node:assert/strict";
import { test } from "node:test";
import vm from "node:vm";

import { load } from "./support.mjs";

const { CircuitOpenError, ClientClosedError, PoolgateError, QueueFullError, QueueTimeoutError, isPoolgateError } =
  await load();

test("every error is an Error with a name that survives a minifier", () => {
  for (const [Type, name] of [
    [PoolgateError, "PoolgateError"],
    [CircuitOpenError, "CircuitOpenError"],
    [QueueFullError, "QueueFullError"],
    [QueueTimeoutError, "QueueTimeoutError"],
    [ClientClosedError, "ClientClosedError"],
  ]) {
    const error = new Type("code", "message", 1500);
    assert.ok(error instanceof PoolgateError && error instanceof Error);
    assert.deepEqual([error.name, error.code, error.retryAfterMs], [name, "code", 1500]);
    assert.equal(String(error), `${name}: message`);
    assert.deepEqual(Object.keys(error), ["code", "retryAfterMs"], "the name is not in the way of a log line");
  }
  assert.equal(new PoolgateError("code", "message").retryAfterMs, null);
});

test("the guard knows errors of other copies, and nothing else", async () => {
  const { PoolgateError: Other } = await load("requests/errors.js", "?another-copy");
  assert.notEqual(Other, PoolgateError);
  assert.ok(isPoolgateError(new Other("code", "message")));
  const foreign = vm.runInNewContext(`({ [Symbol.for("@poolgate/client:error")]: true })`);
  assert.ok(isPoolgateError(foreign), "another realm");
  for (const value of [null, undefined, "queue_full", {}, new Error("x"), new TypeError("x")]) {
    assert.equal(isPoolgateError(value), false);
  }
});
