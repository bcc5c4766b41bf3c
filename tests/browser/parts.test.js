// The page's pure parts, with the golden documents and with constructed figures.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";

import { isConfig, isStatus } from "../../www/js/api.js";
import { condition } from "../../www/js/condition.js";
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

const FRESH = { stale: false, seconds: 0, known: true };
/** A server that answers 90 requests a second, of which the given number is rejected, for twelve seconds. */
async function busy(/** @type {{ rejected: number, reason?: string, change?: (status: any) => void }} */ { rejected, reason, change }) {
  const state = new State();
  state.config = { ...(await golden("config-moderate.json")), ...(reason && { reason }) };
  const status = await golden("status.json");
  for (let second = 0; second <= 12; second += 1) {
    const next = structuredClone(status);
    next.sampled_at = new Date(Date.parse(status.sampled_at) + second * 1000).toISOString();
    next.gate.succeeded_total += (90 - rejected) * second;
    next.gate.rejected_total += rejected * second;
    change?.(next);
    state.observe(next);
  }
  return state;
}

test("what users meet comes before the mode", async () => {
  const clock = (/** @type {string} */ time) => format.clock(time);
  const hurt = condition(await busy({ rejected: 30 }), FRESH);
  assert.equal(hurt.tone, "hurt");
  assert.match(hurt.headline, /^33\.3% of requests fail since [\d:]+ or earlier/);
  assert.equal(hurt.short, "33.3% fail");
  assert.match(hurt.cause, /^Load: More requests are arriving/);
  assert.equal(
    hurt.mode,
    `Mode MODERATE since ${clock("2026-11-23T14:01:51.104Z")}. Each client may send 2.4 a second, 3 at a time.`,
  );

  const alarmed = condition(await busy({ rejected: 0 }), FRESH);
  assert.match(alarmed.headline, /^No request fails, but there is a critical alert; /);
  assert.match(alarmed.cause, /^Alert: connection pool usage/);
  const calm = (/** @type {any} */ status) => (status.alerts = []);
  const limited = condition(await busy({ rejected: 0, change: calm }), FRESH);
  assert.equal(limited.tone, "limited");
  assert.equal(limited.headline, "No request fails; 28 of 30 connections in use, 10 requests waiting");

  const unknown = condition(await busy({ rejected: 0, change: (status) => Object.assign(status, { gate: null, alerts: [], pool: { ...status.pool, waiting: null } }) }), FRESH);
  assert.equal(
    unknown.headline,
    "Requests do not pass this server, so it does not see whether they succeed; 28 of 30 connections in use",
  );
  const few = condition(await busy({ rejected: 0.3, change: calm }), FRESH);
  assert.match(few.headline, /^0\.\d% of requests fail; /, "few failures are no headline, but they are told");
});

test("each reason of the contract has a side, a text and something to do", async () => {
  const source = await readFile(new URL("../../crates/poolgate-types/src/labels.rs", import.meta.url), "utf8");
  const reasons = /enum Reason \{(.*?)\n\}/s.exec(source)?.[1]?.match(/^ {4}[A-Z]\w+/gm) ?? [];
  assert.ok(reasons.length >= 12, reasons.join());
  for (const reason of reasons) {
    const word = reason.trim().replace(/(?<=.)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
    if (word === "other") continue;
    assert.doesNotMatch(words.cause(word).text, /^Reason: /, word);
  }
});

test("for a watching server without a gate the page shows no gate figures", async () => {
  const status = await golden("status-watched.json");
  const state = new State();
  state.observe(status);
  const later = { ...status, sampled_at: "2026-11-23T14:02:16.300Z", throttling_level: "MODERATE" };
  const before = state.observe(later);
  assert.deepEqual(state.rates, { succeeded: null, failed: null, rejected: null });
  assert.equal(words.waiting(later), 0, "of the pool alone");
  assert.deepEqual(
    changes(before, later, "").map(({ text }) => text),
    ["NORMAL → MODERATE (pool 24%)."],
  );
});

test("the mode says what each client may send", async () => {
  assert.equal(words.allowance(null), "");
  assert.equal(words.allowance(await golden("config-normal.json")), "Clients are not limited.");
  assert.equal(words.allowance(await golden("config-moderate.json")), "Each client may send 2.4 a second, 3 at a time.");
  assert.equal(
    words.allowance({ ...(await golden("config-normal.json")), enforced: true }),
    "Each client may send 100 a minute, 10 at a time, 100 ms apart.",
    "the fixed policy limits always",
  );
  assert.match(words.allowance(await golden("config-fixed-aggressive.json")), /30 a minute, 3 at a time, 1\.0 s apart\.$/);
  assert.equal(words.allowance(await golden("config-open.json")), "", "nothing passes an open breaker");
  assert.match(words.cause((await golden("config-open.json")).reason).text, /^The database is not responding\./);
  assert.match(words.cause("solar_flare").text, /^Reason: solar_flare\./);
  assert.equal(format.perTime(0.5, "/s", "/min"), "30/min");
  assert.equal(format.perTime(0.05, "/s", "/min"), "3.0/min");
});

test("an unknown level counts as the worst", async () => {
  assert.equal(words.level((await golden("config-unknown-words.json")).throttling_level), "EMERGENCY");
  assert.equal(words.level("MODERATE"), "MODERATE");
});

test("the breaker is shown in words, open in the unreachable golden status", async () => {
  const status = await golden("status-unreachable.json");
  assert.match(words.breaker(status.circuit_breaker), /open: all requests are refused/);
  assert.match(words.breaker("half_open"), /half-open/);
});

test("figures keep their meaning when they are rounded", () => {
  assert.equal(format.share(1), "100%");
  assert.equal(format.share(0.9999), "99.9%");
  assert.equal(format.share(0.00001), "0.1%");
  assert.equal(format.share(0), "0%");
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

test("figures are stale when nothing has come for as long as the transport allows", () => {
  assert.deepEqual(freshness(null, 3_000, 4), { stale: false, seconds: 3, known: false, late: false });
  assert.equal(freshness(null, 4_000, 4).stale, true, "no contact from the beginning is none");
  assert.equal(freshness(1_000, 4_900, 4).stale, false);
  assert.equal(freshness(1_000, 5_000, 4).stale, true);
  assert.equal(freshness(1_000, 99_000, Infinity).stale, false, "a hidden page");
  const back = freshness(1_000, 99_000, 4, 98_000);
  assert.deepEqual(back, { stale: false, seconds: 98, known: true, late: true }, "it has just come into view");
  assert.equal(freshness(2_000, 1_000, 4).seconds, 0);
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
  /** @param {number} second @param {number} succeeded @param {number} rejected @param {string} [started_at] */
  const at = (second, succeeded, rejected, started_at = status.started_at) =>
    state.observe({
      ...status,
      started_at,
      sampled_at: new Date(second * 1000).toISOString(),
      gate: { ...status.gate, succeeded_total: succeeded, rejected_total: rejected, failed_total: 0 },
    });
  at(100, 1_000, 10);
  assert.equal(state.rates.succeeded, null);
  for (let second = 101; second <= 110; second += 1)
    at(second, 1_000 + (second - 100) * 50, 10 + (second - 100) * 5);
  assert.deepEqual(state.rates, { succeeded: 50, failed: 0, rejected: 5 });
  for (let second = 111; second <= 114; second += 1) at(second, 1_500, 60);
  assert.deepEqual(state.rates, { succeeded: 0, failed: 0, rejected: 0 });
  assert.equal(at(115, 3, 0, "2026-11-23T14:05:00Z"), null, "another process is no change of the one before");
  assert.equal(state.rates.succeeded, null);
  assert.ok(state.restartedAt !== null);
});

test("between two polls the last values hold", async () => {
  const state = new State();
  const status = await golden("status.json");
  for (const second of [100, 102, 105, 130]) state.observe({ ...status, sampled_at: new Date(second * 1000).toISOString() });
  const seen = state.history.column("busy").slice(-31);
  assert.deepEqual(seen.slice(0, 7), [28, 28, 28, 28, 28, 28, null], "100 to 105, and nothing is known after that");
  assert.equal(seen.at(-1), 28);
});

test("level shares cover only the observed time", async () => {
  const state = new State();
  const status = await golden("status.json");
  const levels = ["NORMAL", "NORMAL", "MODERATE", "EMERGENCY"];
  levels.forEach((throttling_level, index) =>
    state.observe({ ...status, throttling_level, sampled_at: new Date((100 + index) * 1000).toISOString() }),
  );
  assert.deepEqual(state.levelShares(), [0.5, 0.25, 0, 0.25]);
});

test("the log says what changed between two documents", async () => {
  const before = { ...(await golden("status.json")), alerts: [], last_cleanup: null };
  const after = await golden("status-unreachable.json");
  const events = changes(before, after, "Why.");
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ["level", "breaker", "alert", "cleanup"],
  );
  assert.equal(events[0]?.text, "MODERATE → EMERGENCY (pool 93%, gate 100%). Why.");
  assert.deepEqual(changes(after, after, ""), []);
  assert.match(changes(after, before, "")[2]?.text ?? "", /^Over \(critical\)/);
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
