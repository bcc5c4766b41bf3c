// The page's state: the newest documents, values derived from two of them, and the last fifteen minutes.

import { History, SPAN_SECONDS } from "./history.js";
import { LEVELS, level, waiting } from "./words.js";

/** @import { Activity, History as Past, Status, ThrottlingConfig } from "../types/wire.js" */

/** Rates are means over this many milliseconds: long enough to be steady, short enough to be current. */
export const RATE_WINDOW_MS = 3_000;
/** The share of failing requests is that of this many milliseconds. */
export const SHARE_WINDOW_MS = 10_000;
/** A calm that lasts this many seconds ends a time of failures. */
const CALM_SECONDS = 10;
/** The two periods whose shares tell whether it gets worse, in seconds. */
const RECENT_SECONDS = 15;
const BEFORE_SECONDS = 30;
/** Smaller differences are no change. */
const CHANGE = 0.2;
/** Between two documents so far apart the values stay what they were; beyond, nothing is known. */
const HOLD_SECONDS = 6;

const COLUMNS = /** @type {const} */ ([
  "level",
  "busy",
  "open",
  "capacity",
  "waiting",
  "p95",
  "p99",
  "succeeded",
  "failed",
  "rejected",
]);

/** @typedef {(typeof COLUMNS)[number]} Column */
/** @typedef {{ at: number, admitted: number, rejected: number, succeeded: number, failed: number }} Totals */
/** @typedef {Record<"succeeded" | "failed" | "rejected", number | null>} Rates */

/**
 * @typedef {object} Pain what users meet
 * @property {number | null} share of the requests that ended in the last seconds: rejected or failed, 0 to 1; null
 *   without requests
 * @property {number} bad how many requests that were
 * @property {number | null} since Unix ms; null while none fails
 * @property {boolean} sinceBefore it began before what is remembered
 * @property {"worse" | "better" | "steady" | null} trend
 */

/** @type {Rates} */
const NO_RATES = { succeeded: null, failed: null, rejected: null };

export class State {
  /** @type {Status | null} */
  status = null;
  /** @type {ThrottlingConfig | null} */
  config = null;
  /** Routes, connections in use and clients. @type {Activity | null} */
  activity = null;
  /** Requests per second; null until there are two samples. @type {Rates} */
  rates = NO_RATES;
  history = new History(COLUMNS);
  /** The newest values, which charts and figures share. @type {Record<Column, number> | null} */
  now = null;
  /** When the last message arrived (`performance.now()`). @type {number | null} */
  contactAt = null;
  /** Why the last attempt to reach the server failed; null while there is contact. @type {string | null} */
  trouble = null;
  /** When this page saw that the server is another process than before (Unix ms). @type {number | null} */
  restartedAt = null;
  /** Totals of the last seconds, oldest first. @type {Totals[]} */
  #totals = [];

  /**
   * Records a status; returns the previous one, or null if there is none of the same process.
   * @param {Status} status
   */
  observe(status) {
    const before = this.status;
    const at = Date.parse(status.sampled_at);
    const restarted = before !== null && before.started_at !== status.started_at;
    if (restarted) {
      this.restartedAt = Date.parse(status.started_at);
      this.#totals = [];
    }
    this.status = status;
    this.#measure(status, at);
    this.#record(status, at, restarted ? null : before);
    return restarted ? null : before;
  }

  /**
   * Fills in what the server remembers of the time that this page did not see.
   * @param {Past} past
   */
  remember({ samples }) {
    for (const sample of samples) {
      this.history.backfill(Date.parse(sample.at) / 1000, valuesOf(sample));
    }
  }

  /** The share of the observed time at each level, in the order of `LEVELS`; null before the first status. */
  levelShares() {
    const seen = this.history.column("level").filter((value) => value !== null);
    if (seen.length === 0) return null;
    return LEVELS.map((_, index) => seen.filter((value) => value === index).length / seen.length);
  }

  /** @returns {Pain} */
  pain() {
    const good = this.history.column("succeeded");
    const rejections = this.history.column("rejected");
    const bad = this.history.column("failed").map((failed, slot) => {
      const rejected = rejections[slot] ?? null;
      return failed === null && rejected === null ? null : (failed ?? 0) + (rejected ?? 0);
    });
    const now = this.#shareNow() ?? shareOf(bad, good, SHARE_WINDOW_MS / 1000, 0);
    const begin = beginOf(bad);
    const oldest = good.findIndex((value) => value !== null);
    const at = (/** @type {number} */ slot) => ((this.history.newest ?? 0) - SPAN_SECONDS + 1 + slot) * 1000;
    return {
      share: now?.share ?? null,
      bad: now?.bad ?? 0,
      since: begin === null ? null : at(begin),
      sinceBefore: begin !== null && begin <= oldest + 1,
      trend: begin === null || SPAN_SECONDS - begin < RECENT_SECONDS + 5 ? null : trendOf(bad, good),
    };
  }

  /** Of the totals, which are exact, if they cover some seconds. */
  #shareNow() {
    const [oldest, newest] = [this.#totals[0], this.#totals.at(-1)];
    if (oldest === undefined || newest === undefined || newest.at - oldest.at < RATE_WINDOW_MS - 500) return null;
    const bad = newest.failed - oldest.failed + newest.rejected - oldest.rejected;
    const all = bad + newest.succeeded - oldest.succeeded;
    return all === 0 ? { share: null, bad: 0 } : { share: bad / all, bad };
  }

  /**
   * @param {Status} status
   * @param {number} at
   */
  #measure({ gate }, at) {
    this.rates = NO_RATES;
    if (gate === null) return;
    const newest = {
      at,
      admitted: gate.admitted_total,
      rejected: gate.rejected_total,
      succeeded: gate.succeeded_total,
      failed: gate.failed_total,
    };
    const last = this.#totals.at(-1);
    // The server's clock was set back.
    if (last !== undefined && at < last.at) this.#totals = [];
    this.#totals.push(newest);
    while (this.#totals.length > 2 && at - (this.#totals[1]?.at ?? at) >= SHARE_WINDOW_MS) this.#totals.shift();
    const oldest = this.#totals.findLast((totals) => at - totals.at >= RATE_WINDOW_MS) ?? this.#totals[0] ?? newest;
    const seconds = (at - oldest.at) / 1000;
    if (seconds <= 0) return;
    const rate = (/** @type {"succeeded" | "failed" | "rejected"} */ name) => (newest[name] - oldest[name]) / seconds;
    this.rates = { succeeded: rate("succeeded"), failed: rate("failed"), rejected: rate("rejected") };
  }

  /**
   * @param {Status} status
   * @param {number} at
   * @param {Status | null} before
   */
  #record(status, at, before) {
    const { pool, performance, throttling_level } = status;
    const gap = before === null ? 0 : (at - Date.parse(before.sampled_at)) / 1000;
    if (this.now !== null && gap > 1 && gap <= HOLD_SECONDS) this.history.hold(at / 1000);
    this.now = {
      level: LEVELS.indexOf(level(throttling_level)),
      busy: pool.checked_out,
      open: pool.checked_out + pool.idle,
      capacity: pool.capacity,
      waiting: waiting(status) ?? NaN,
      p95: performance.acquire_wait_ms?.p95 ?? NaN,
      p99: performance.acquire_wait_ms?.p99 ?? NaN,
      succeeded: this.rates.succeeded ?? NaN,
      failed: this.rates.failed ?? NaN,
      rejected: this.rates.rejected ?? NaN,
    };
    this.history.record(at / 1000, this.now);
  }
}

/**
 * What the charts show of a sample; NaN where nothing was measured.
 * @param {Past["samples"][number]} sample
 * @returns {Record<Column, number>}
 */
export function valuesOf(sample) {
  return {
    level: LEVELS.indexOf(level(sample.throttling_level)),
    busy: sample.checked_out,
    open: sample.open,
    capacity: sample.capacity,
    waiting: sample.waiting ?? NaN,
    p95: sample.acquire_wait_p95_ms ?? NaN,
    p99: sample.acquire_wait_p99_ms ?? NaN,
    succeeded: sample.succeeded_per_second ?? NaN,
    failed: sample.failed_per_second ?? NaN,
    rejected: sample.rejected_per_second ?? NaN,
  };
}

/**
 * The bad share of `length` seconds that ended `ago` seconds before the newest.
 * @param {(number | null)[]} bad
 * @param {(number | null)[]} good
 * @param {number} length
 * @param {number} ago
 */
function shareOf(bad, good, length, ago) {
  const sum = (/** @type {(number | null)[]} */ values) =>
    values.slice(values.length - ago - length, values.length - ago).reduce((all, value) => (all ?? 0) + (value ?? 0), 0);
  const [hurt, fine] = [sum(bad) ?? 0, sum(good) ?? 0];
  return hurt + fine === 0 ? null : { share: hurt / (hurt + fine), bad: hurt };
}

/**
 * The slot in which the present time of failures began; null while none fails.
 * @param {(number | null)[]} bad
 */
function beginOf(bad) {
  let begin = null;
  for (let slot = bad.length - 1; slot >= 0 && (begin ?? bad.length) - slot <= CALM_SECONDS; slot -= 1) {
    if ((bad[slot] ?? 0) > 0) begin = slot;
  }
  return begin;
}

/**
 * @param {(number | null)[]} bad
 * @param {(number | null)[]} good
 */
function trendOf(bad, good) {
  const recent = shareOf(bad, good, RECENT_SECONDS, 0)?.share ?? 0;
  const before = shareOf(bad, good, BEFORE_SECONDS, RECENT_SECONDS)?.share ?? 0;
  if (recent > before * (1 + CHANGE)) return "worse";
  return recent < before * (1 - CHANGE) ? "better" : "steady";
}
