// The page's state: the newest documents, values derived from two of them, and the last fifteen minutes.

import { History } from "./history.js";
import { LEVELS, level, waiting } from "./words.js";

/** @import { Status, ThrottlingConfig } from "../types/wire.js" */

/** Rates are means over this many milliseconds: long enough to be steady, short enough to be current. */
const RATE_WINDOW_MS = 3_000;

const COLUMNS = /** @type {const} */ ([
  "level",
  "busy",
  "open",
  "capacity",
  "waiting",
  "p95",
  "p99",
  "admitted",
  "rejected",
]);

export class State {
  /** @type {Status | null} */
  status = null;
  /** @type {ThrottlingConfig | null} */
  config = null;
  /** When the current level was first seen (server's clock, Unix ms), and whether its beginning was seen. */
  since = { at: 0, seenBegin: false };
  /** Requests per second; null until there are two samples. */
  rates = { admitted: /** @type {number | null} */ (null), rejected: /** @type {number | null} */ (null) };
  history = new History(COLUMNS);
  /** When the last message arrived (`performance.now()`). @type {number | null} */
  contactAt = null;
  /** Totals of the last seconds, oldest first. @type {{ at: number, admitted: number, rejected: number }[]} */
  #totals = [];

  /**
   * Records a status; returns the previous one.
   * @param {Status} status
   */
  observe(status) {
    const before = this.status;
    const at = Date.parse(status.sampled_at);
    if (before === null || before.throttling_level !== status.throttling_level) {
      this.since = { at, seenBegin: before !== null };
    }
    this.status = status;
    this.#measureRates(status, at);
    this.#record(status, at);
    return before;
  }

  /** The share of the observed time at each level, in the order of `LEVELS`; null before the first status. */
  levelShares() {
    const seen = this.history.column("level").filter((value) => value !== null);
    if (seen.length === 0) return null;
    return LEVELS.map((_, index) => seen.filter((value) => value === index).length / seen.length);
  }

  /**
   * @param {Status} status
   * @param {number} at
   */
  #measureRates({ gate }, at) {
    if (gate === null) {
      this.rates = { admitted: null, rejected: null };
      return;
    }
    const newest = { at, admitted: gate.admitted_total, rejected: gate.rejected_total };
    const last = this.#totals.at(-1);
    // Shrinking totals mean that the server was restarted.
    if (
      last !== undefined &&
      (newest.admitted < last.admitted || newest.rejected < last.rejected || at < last.at)
    ) {
      this.#totals = [];
    }
    this.#totals.push(newest);
    while (this.#totals.length > 2 && at - (this.#totals[1]?.at ?? at) >= RATE_WINDOW_MS)
      this.#totals.shift();
    const oldest = this.#totals[0] ?? newest;
    const seconds = (at - oldest.at) / 1000;
    this.rates =
      seconds <= 0
        ? { admitted: null, rejected: null }
        : {
            admitted: (newest.admitted - oldest.admitted) / seconds,
            rejected: (newest.rejected - oldest.rejected) / seconds,
          };
  }

  /**
   * @param {Status} status
   * @param {number} at
   */
  #record(status, at) {
    const { pool, performance, throttling_level } = status;
    this.history.record(at / 1000, {
      level: LEVELS.indexOf(level(throttling_level)),
      busy: pool.checked_out,
      open: pool.checked_out + pool.idle,
      capacity: pool.capacity,
      waiting: waiting(status) ?? NaN,
      p95: performance.acquire_wait_ms?.p95 ?? NaN,
      p99: performance.acquire_wait_ms?.p99 ?? NaN,
      admitted: this.rates.admitted ?? NaN,
      rejected: this.rates.rejected ?? NaN,
    });
  }
}
