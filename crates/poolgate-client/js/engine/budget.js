// @ts-check
// Keeps the throttle's budget in `localStorage` from one life of a page to the next.
//
// Only the tab that leads writes, and the next leader, after a reload or in another tab, continues with it. A worker has no
// storage: while one leads, it sends the budget to the pages, and one of them writes it.

import { storage } from "../host/storage.js";

/** Storage is written at most this often, except when the page is left. */
const SPACING_MS = 1000;

/** @typedef {Pick<import("./engine.js").Engine, "savings" | "restore">} Saver */

export class Budget {
  #key;
  #nextSave = 0;
  #isStored = false;

  /** @param {string} base */
  constructor(base) {
    this.#key = `poolgate-budget ${base}`;
  }

  /**
   * Gives the engine the budget that an earlier page stored, if there is one.
   * @param {Saver} engine
   * @param {number} now
   */
  restore(engine, now) {
    try {
      const stored = this.#read();
      this.#isStored = true;
      const [at, tokens, rate, cost, paused, epoch] = stored;
      if (stored.length !== 6 || !stored.every((/** @type {unknown} */ number) => typeof number === "number")) return;
      // If the clock was set back, nothing has been earned since.
      engine.restore(tokens, rate, cost, paused, epoch, Math.max(0, Date.now() - at), now);
    } catch {
      // Nothing is stored, or another script's value.
    }
  }

  /** Whether it is time to save again. @param {number} now */
  isDue(now) {
    return now >= this.#nextSave;
  }

  /**
   * Stores the engine's budget, or removes it when a new client would have the same.
   * @param {Saver} engine
   * @param {number} now
   * @returns {number[] | undefined} a list for a page to store, when this is a worker
   */
  save(engine, now) {
    this.#nextSave = now + SPACING_MS;
    const savings = engine.savings(now);
    if (!savings && !this.#isStored) return undefined;
    this.#isStored = Boolean(savings);
    const list = savings && [Date.now(), ...savings];
    if (list && !storage()) return list;
    this.#write(list);
    return undefined;
  }

  /**
   * Stores the budget of a worker that leads. All pages hear it, and the first one writes.
   * @param {number[]} list
   */
  keep(list) {
    try {
      // Another page has stored the same a moment ago.
      if (Math.abs(list[0] - this.#read()[0]) < SPACING_MS / 2) return;
    } catch {
      // Nothing is stored, or another script's value.
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
      // Full or forbidden: after a reload the client starts as a new one.
    }
  }
}
