// Documents and headers are checked before the module sees them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { config, fixture, load } from "./support.mjs";

const { codeIn, isConfig, isVersion, readHeader, returnWithin } = await load("engine/config.js");
const { LEVELS } = await load("contract.js");
const { valid, malformed } = JSON.parse(fixture("headers.json"));

for (const { header, epoch, version, level, interval_ms: interval, concurrency, open } of valid) {
  test(`a golden header is read: ${header}`, () => {
    const read = readHeader(header);
    assert.equal(LEVELS[codeIn(LEVELS, read.level)], level);
    const { level: _, ...numbers } = read;
    assert.deepEqual(numbers, { epoch, version, interval: interval ?? undefined, concurrency, open });
  });
}

test("what is malformed in a header makes all of it worth nothing", () => {
  const good = "e=1, v=2, level=NORMAL, interval=3, concurrency=4, open=?0";
  assert.ok(readHeader(good));
  const wrong = [
    ["e=1", "e=9007199254740992"],
    ["v=2", "v"],
    ["v=2", 'v="2"'],
    ["concurrency=4", "concurrency=4294967296"],
    ["interval=3", "interval"],
    ["interval=3", "interval=4294967296"],
    ["open=?0", "open=0"],
    ["open=?0", "open="],
  ];
  for (const header of [...malformed, ...wrong.map(([from, to]) => good.replace(from, to))]) {
    assert.equal(readHeader(header), undefined, header);
  }
});

test("a header's members come in any order, the last of a name wins, and parameters mean nothing", () => {
  const read = readHeader(" open ;x=1 ,concurrency=4;a;b=c\t, new=?0, v=1,v=2 ,,level=MODERATE, open=?1;y,e=0");
  assert.deepEqual(read, { epoch: 0, version: 2, level: "MODERATE", interval: undefined, concurrency: 4, open: true });
});

test("the golden documents are configs, with words that are not known too", () => {
  for (const name of ["normal", "moderate", "open", "unknown-words"]) assert.ok(isConfig(config(name)), name);
  const { fair_rate_per_second, retry_after_seconds, probe_fraction, ...required } = config("moderate");
  assert.ok(isConfig(required), "these may be missing");
  assert.ok(isConfig(config("normal", { throttling_level: "NEW", reason: "new", more: [] })));
});

test("a document whose members are missing or of another type is none", () => {
  for (const raw of [undefined, null, "x", 7, [], {}, JSON.parse(fixture("config-malformed.json"))]) {
    assert.equal(isConfig(raw), false, JSON.stringify(raw));
  }
  const { fair_rate_per_second, retry_after_seconds, probe_fraction, ...required } = config("moderate");
  for (const name of Object.keys(required)) assert.equal(isConfig({ ...required, [name]: undefined }), false, name);
  for (const changes of [
    { health: 3 },
    { throttling_level: 1 },
    { reason: null },
    { enforced: 1 },
    { circuit_breaker_open: "false" },
    { emergency_mode_active: null },
    { epoch: -1 },
    { epoch: 1.5 },
    { version: 2 ** 53 },
    { version: "2" },
    { max_concurrent_requests: -1 },
    { max_requests_per_minute: 2 ** 32 },
    { request_delay_ms: 0.5 },
    { poll_after_seconds: null },
    { ttl_seconds: Infinity },
    { retry_after_seconds: 1.5 },
    { fair_rate_per_second: "2" },
    { probe_fraction: true },
  ]) {
    assert.equal(isConfig(config("moderate", changes)), false, JSON.stringify(changes));
  }
});

test("two whole numbers that JavaScript tells apart are a version", () => {
  assert.ok(isVersion({ epoch: 0, version: Number.MAX_SAFE_INTEGER, more: 1 }));
  for (const raw of [null, [], "x", { epoch: 1 }, { epoch: 1, version: NaN }, { epoch: 1, version: 2 ** 53 }]) {
    assert.equal(isVersion(raw), false, JSON.stringify(raw));
  }
});

test("a word that is not known counts as the worst", () => {
  assert.deepEqual(LEVELS.map((word) => codeIn(LEVELS, word)), [0, 1, 2, 3]);
  assert.deepEqual(["", "normal", "UNHEARD_OF", "constructor"].map((word) => codeIn(LEVELS, word)), [3, 3, 3, 3]);
});

test("a server that says nothing sensible about coming back says nothing", () => {
  assert.equal(returnWithin({ return_within_ms: 600_000 }), 600_000);
  for (const raw of [undefined, null, 7, {}, { return_within_ms: -1 }, { return_within_ms: "1" }, { return_within_ms: NaN }]) {
    assert.equal(returnWithin(raw), undefined);
  }
});
