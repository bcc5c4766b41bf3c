// @ts-check
// The budget between one life of a page and the next: what the throttle saves, kept in `localStorage`.
//
// Of all tabs only the one that leads writes. Whoever leads next, after a reload or in another tab, goes on with it. A worker
// has no storage: while one leads, it tells the pages, and one of them writes.

import { Detail } from "./codes.js";
import { storage } from "./values.js";

/** Storage is written at most this often, besides when the page is left. */
const SPACING_MS = 1000;

/** @typedef {import("./poolgate_client.js").Throttle} Throttle */

export class Budget {
  #key;
  #nextSave = 0;
  #isStored = false;

  /** @param {string} base */
  constructor(base) {
    this.#key = `poolgate-budget ${base}`;
  }

  /**
   * Gives the throttle what an earlier one left, if anything.
   * @param {Throttle} throttle
   * @param {number} now
   */
  restore(throttle, now) {
    try {
      const stored = this.#read();
      this.#isStored = true;
      const [at, tokens, rate, cost, paused, epoch] = stored;
      if (stored.length !== 6 || !stored.every((/** @type {unknown} */ number) => typeof number === "number")) return;
      // A clock that was set back: nothing has been earned since.
      throttle.restore(tokens, rate, cost, paused, epoch, Math.max(0, Date.now() - at), now);
    } catch {
      // Nothing there, or nothing of ours.
    }
  }

  /** Whether it is time to save again. @param {number} now */
  isDue(now) {
    return now >= this.#nextSave;
  }

  /**
   * Stores what the throttle has left, or forgets it where a newcomer would have no more.
   * @param {Throttle} throttle
   * @param {number} now
   * @returns {number[] | undefined} what a page is to keep, where there is no storage
   */
  save(throttle, now) {
    this.#nextSave = now + SPACING_MS;
    const isWorthIt = throttle.savings(now);
    if (!isWorthIt && !this.#isStored) return undefined;
    this.#isStored = isWorthIt;
    const savings = Array.from({ length: 5 }, (_, index) => throttle.detail(Detail.reading + index));
    const list = [Date.now(), ...savings];
    if (this.#isStored && !storage()) return list;
    this.#write(this.#isStored ? list : undefined);
    return undefined;
  }

  /**
   * Stores what a worker that leads has saved. However many pages hear it, one of them writes.
   * @param {number[]} list
   */
  keep(list) {
    try {
      // What was saved at nearly the same time is the same.
      if (Math.abs(list[0] - this.#read()[0]) < SPACING_MS / 2) return;
    } catch {
      // Nothing there, or nothing of ours.
    }
    this.#write(list);
  }

  #read() {
    return JSON.parse(storage()?.getItem(this.#key) ?? "");
  }

  /** @param {number[] | undefined} list */
  #write(list) {
    try {
      if (list) storage()?.setItem(this.#key, JSON.stringify(list));
      else storage()?.removeItem(this.#key);
    } catch {
      // Full or forbidden: then a reload begins as a newcomer does.
    }
  }
}
