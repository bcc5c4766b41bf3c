// @ts-check

/** `setTimeout` counts 32 bits of milliseconds. A longer wait is split: the timer fires early and is set again. */
const LONGEST_MS = 3_600_000;

/**
 * One timer with a deadline. It fires late in a hidden tab, so its callback must read the clock. In Node it keeps the process
 * alive only while it is held.
 */
export class Timer {
  #act;
  #at = Infinity;
  /** @type {any} a number in browsers, an object in Node */
  #handle;
  #held = false;

  /** @param {() => void} act */
  constructor(act) {
    this.#act = act;
  }

  /**
   * Fires at `at`, or earlier if it was set for an earlier time before: a later deadline costs no call of the host, and the
   * callback sets the timer again anyway.
   * @param {number} at
   * @param {number} now
   */
  set(at, now) {
    if (this.#at <= at) return;
    this.clear();
    this.#at = at;
    const wake = () => {
      this.#at = Infinity;
      this.#act();
    };
    // Rounded up: a timer that fires a fraction of a millisecond early would find nothing to do.
    this.#handle = setTimeout(wake, Math.ceil(Math.min(Math.max(at - now, 0), LONGEST_MS)));
    this.#keepAlive();
  }

  /** Forgets the deadline. */
  clear() {
    clearTimeout(this.#handle);
    this.#at = Infinity;
  }

  /** @param {boolean} held whether a caller waits for the timer's work */
  hold(held) {
    if (this.#held === held) return;
    this.#held = held;
    this.#keepAlive();
  }

  #keepAlive() {
    this.#handle?.[this.#held ? "ref" : "unref"]?.();
  }
}
