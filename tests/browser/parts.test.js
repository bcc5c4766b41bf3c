// The page's pure parts, with the golden documents and with constructed figures.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";

import { isConfig, isStatus } from "../../www/js/api.js";
import { freshness } from "../../www/js/contact.js";
import * as format from "../../www/js/format.js";
import { Generator } from "../../www/js/generator.js";
import { History, SPAN_SECONDS } from "../../www/js/history.js";
import { changes } from "../../www/js/log.js";
import { State } from "../../www/js/state.js";
import * as words from "../../www/js/words.js";
import { until } from "./support/until.js";

const FIXTURES = new URL("../fixtures/", import.meta.url);

/** @param {string} name */
async function golden(name) {
  return JSON.parse(await readFile(new URL(name, FIXTURES), "utf8"));
}

test("the page recognises each golden document", async () => {
  const names = (await readdir(FIXTURES)).filter((name) => name.endsWith(".json"));
  assert.ok(names.length >= 10, names.join());
  for (const name of names) {
    const document = await golden(name);
    const config = name.startsWith("config-") && name !== "config-malformed.json";
    assert.equal(isConfig(document), config, name);
    assert.equal(isStatus(document), name.startsWith("status"), name);
  }
});

test("the verdict is a sentence", async () => {
  const status = await golden("status.json");
  const since = { at: new Date(2026, 10, 23, 14, 2, 11).getTime(), seenBegin: true };
  assert.equal(
    words.verdict(status, since),
    "MODERATE since 14:02:11 — 28 of 30 connections busy, 10 requests waiting, p99 wait 82 ms",
  );
  status.gate.waiting = status.pool.waiting = 0;
  assert.match(
    words.verdict(status, { ...since, seenBegin: false }),
    /since 14:02:11 or earlier .*nothing waiting/,
  );
  status.gate.waiting = 1;
  assert.match(words.verdict(status, since), /, 1 request waiting,/);
  status.pool.waiting = status.performance.acquire_wait_ms = null;
  assert.match(words.verdict(status, since), / connections busy$/, "figures that the source does not report are not shown");
});

test("for a watching server without a gate the page shows no gate figures", async () => {
  const status = await golden("status-watched.json");
  const state = new State();
  state.observe(status);
  const later = { ...status, sampled_at: "2026-11-23T14:02:16.300Z", throttling_level: "MODERATE" };
  const before = state.observe(later);
  assert.deepEqual(state.rates, { admitted: null, rejected: null });
  assert.equal(words.waiting(later), 0, "of the pool alone");
  assert.deepEqual(
    changes(before, later, "").map(({ text }) => text),
    ["NORMAL → MODERATE (pool 24 %)."],
  );
});

test("the reason says what each client may send", async () => {
  assert.equal(words.reason(null), "");
  assert.equal(
    words.reason(await golden("config-normal.json")),
    "Demand is below capacity; nothing is limited.",
  );
  assert.equal(
    words.reason(await golden("config-moderate.json")),
    "Demand exceeds what the database can serve. Each client may send 2.4 a second, 3 at a time.",
  );
  assert.equal(
    words.reason({ ...(await golden("config-normal.json")), enforced: true }),
    "Demand is below capacity. Each client may send 100 a minute, 10 at a time, 100 ms apart.",
    "the fixed policy limits always",
  );
  assert.match(
    words.reason(await golden("config-fixed-aggressive.json")),
    /30 a minute, 3 at a time, 1000 ms apart\.$/,
  );
  assert.match(words.reason(await golden("config-open.json")), /^The database does not answer\./);
  assert.match(words.reason(await golden("config-unknown-words.json")), /^Reason: solar_flare\./);
  assert.equal(words.perTime(0.5), "30 a minute");
  assert.equal(words.perTime(0.05), "3.0 a minute");
});

test("an unknown level counts as the worst", async () => {
  assert.equal(words.level((await golden("config-unknown-words.json")).throttling_level), "EMERGENCY");
  assert.equal(words.level("MODERATE"), "MODERATE");
});

test("the breaker is shown in words, open in the unreachable golden status", async () => {
  const status = await golden("status-unreachable.json");
  assert.match(words.breaker(status.circuit_breaker), /open: no request passes/);
  assert.match(words.breaker("half_open"), /half-open/);
});

test("figures keep their meaning when they are rounded", () => {
  assert.equal(format.share(1), "100 %");
  assert.equal(format.share(0.9999), "99.9 %");
  assert.equal(format.share(0.00001), "0.1 %");
  assert.equal(format.share(0), "0 %");
  assert.equal(format.share(NaN), "–");
  assert.equal(format.rate(99.96), "100");
  assert.equal(format.rate(9.96), "10.0");
  assert.equal(format.milliseconds(0.42), "0.4 ms");
  assert.equal(format.milliseconds(9.96), "10 ms");
  assert.equal(format.milliseconds(1_240), "1.2 s");
  assert.equal(format.milliseconds(9_990), "10 s");
  assert.equal(format.duration(61), "1 min 1 s");
  assert.equal(format.duration(-5), "0 s");
  assert.equal(format.count(12345), "12,345");
  assert.equal(format.count(null), "–");
  assert.equal(format.clock("no time"), "–");
});

test("figures are stale after four seconds without news", () => {
  assert.deepEqual(freshness(null, 99_000), { stale: false, seconds: 0, known: false });
  assert.equal(freshness(1_000, 4_900).stale, false);
  assert.equal(freshness(1_000, 5_000).stale, true);
  assert.equal(freshness(2_000, 1_000).seconds, 0);
});

test("history has one slot per second, gaps for missing figures, and a fixed size", () => {
  const history = new History(["level"]);
  history.record(10_000.2, { level: 0 });
  history.record(10_000.9, { level: 1 });
  history.record(10_003, { level: 1 });
  history.record(9_999, { level: 3 });
  assert.deepEqual(history.column("level").slice(-5), [null, 1, null, null, 1]);
  assert.deepEqual(history.seconds().slice(-2), [10_002, 10_003]);
  assert.deepEqual(history.runs("level").slice(-3), [
    { value: 1, begin: 896, end: 897 },
    { value: null, begin: 897, end: 899 },
    { value: 1, begin: 899, end: 900 },
  ]);
  history.record(10_003 + 5 * SPAN_SECONDS, { level: 2 });
  assert.equal(history.column("level").length, SPAN_SECONDS);
  assert.deepEqual(
    history.column("level").filter((value) => value !== null),
    [2],
  );
});

test("history survives a reload and a clock that is set back", () => {
  const history = new History(["level"]);
  history.record(5_000, { level: 2 });
  history.record(5_002, { level: 1 });
  const copy = new History(["level"]);
  copy.restore(JSON.parse(JSON.stringify(history.save())));
  assert.deepEqual(copy.column("level"), history.column("level"));
  copy.restore({ newest: "yesterday" });
  assert.equal(copy.newest, 5_002);
  copy.record(100, { level: 0 });
  assert.equal(copy.newest, 100);
  assert.deepEqual(
    copy.column("level").filter((value) => value !== null),
    [0],
  );
});

test("rates come from the totals of the last three seconds", async () => {
  const state = new State();
  const status = await golden("status.json");
  /** @param {number} second @param {number} admitted @param {number} rejected */
  const at = (second, admitted, rejected) =>
    state.observe({
      ...status,
      sampled_at: new Date(second * 1000).toISOString(),
      gate: { ...status.gate, admitted_total: admitted, rejected_total: rejected },
    });
  at(100, 1_000, 10);
  assert.equal(state.rates.admitted, null);
  for (let second = 101; second <= 110; second += 1)
    at(second, 1_000 + (second - 100) * 50, 10 + (second - 100) * 5);
  assert.deepEqual(state.rates, { admitted: 50, rejected: 5 });
  for (let second = 111; second <= 114; second += 1) at(second, 1_500, 60);
  assert.deepEqual(state.rates, { admitted: 0, rejected: 0 });
  at(115, 3, 0);
  assert.equal(state.rates.admitted, null, "shrinking totals come from another server");
});

test("level shares cover only the observed time", async () => {
  const state = new State();
  const status = await golden("status.json");
  const levels = ["NORMAL", "NORMAL", "MODERATE", "EMERGENCY"];
  levels.forEach((throttling_level, index) =>
    state.observe({ ...status, throttling_level, sampled_at: new Date((100 + index) * 1000).toISOString() }),
  );
  assert.deepEqual(state.levelShares(), [0.5, 0.25, 0, 0.25]);
  assert.deepEqual(state.since, { at: 103_000, seenBegin: true });
});

test("the log says what changed between two documents", async () => {
  const before = { ...(await golden("status.json")), alerts: [], last_cleanup: null };
  const after = await golden("status-unreachable.json");
  const events = changes(before, after, "Why.");
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ["level", "breaker", "alert", "cleanup"],
  );
  assert.equal(events[0]?.text, "MODERATE → EMERGENCY (pool 93 %, gate 100 %). Why.");
  assert.deepEqual(changes(after, after, ""), []);
  assert.match(changes(after, before, "")[2]?.text ?? "", /^Cleared \(critical\)/);
});

test("the generator counts the result of each request, and a stop aborts those in flight", async () => {
  const fates = [
    () => Promise.resolve(new Response("ok")),
    () => Promise.resolve(new Response("", { status: 503 })),
    () => Promise.resolve(new Response("", { status: 500 })),
    () => Promise.reject(new Error("queue full")),
    () => Promise.reject(new TypeError("network")),
  ];
  let next = 0;
  const generator = new Generator(
    (_url, { signal }) => {
      const fate = fates[next];
      next += 1;
      return (
        fate?.() ?? new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)))
      );
    },
    (error) => error instanceof Error && error.message === "queue full",
  );
  try {
    generator.start(() => ["/"], 500);
    await until(
      "five requests have ended, others are out",
      5_000,
      () => generator.tally.wanted - generator.tally.pending === fates.length && generator.tally.pending > 0,
      () => generator.tally,
    );
    assert.ok(generator.running);
  } finally {
    generator.stop();
  }
  await until("no request is in flight", 1_000, () => generator.tally.pending === 0);
  assert.deepEqual(generator.tally, {
    wanted: 5,
    pending: 0,
    succeeded: 1,
    rejected: 1,
    givenUp: 1,
    failed: 2,
  });
  assert.equal(generator.running, false);
  assert.ok(generator.latencyMs !== null);
});
