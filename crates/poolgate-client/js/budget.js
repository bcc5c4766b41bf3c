// @ts-check
// The budget between one life of a page and the next: what the throttle saves, kept in `localStorage`.
//
// Of all tabs only the one that leads writes. Whoever leads next, after a reload or in another tab, goes on with it. A worker
// has no storage: while one leads, it tells the pages, and one of them writes.

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
      const stored = JSON.parse(storage()?.getItem(this.#key) ?? "");
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
   * Stores what the throttle has left, or forgets it where a newcomer would have no more. Without storage: gives the key and
   * the text for a page to store.
   * @param {Throttle} throttle
   * @param {number} now
   * @returns {[string, string] | undefined}
   */
  save(throttle, now) {
    this.#nextSave = now + SPACING_MS;
    const savings = throttle.savings(now);
    if (savings.length === 0 && !this.#isStored) return undefined;
    this.#isStored = savings.length > 0;
    const text = JSON.stringify([Date.now(), ...savings]);
    const place = storage();
    if (!place) return this.#isStored ? [this.#key, text] : undefined;
    try {
      if (this.#isStored) place.setItem(this.#key, text);
      else place.removeItem(this.#key);
    } catch {
      // Full or forbidden: then a reload begins as a newcomer does.
    }
    return undefined;
  }
}
