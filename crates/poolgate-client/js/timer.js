// @ts-check

/** `setTimeout` takes 32 bits of milliseconds; who waits longer is woken early and waits again. */
const LONGEST_MS = 3_600_000;

/**
 * One wake-up with a deadline. It comes late in a hidden tab, so whoever is woken asks the clock. In Node it keeps the
 * process alive only while it is held.
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
   * Wakes up at `at`, or a little earlier where it was set for an earlier time before: moving a deadline back costs no call
   * of the host, and whoever is woken sets the timer again anyway.
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
    // Rounded up: woken a fraction of a millisecond early, one would find nothing to do.
    this.#handle = setTimeout(wake, Math.ceil(Math.min(Math.max(at - now, 0), LONGEST_MS)));
    this.#keepAlive();
  }

  /** Forgets the deadline. */
  clear() {
    clearTimeout(this.#handle);
    this.#at = Infinity;
  }

  /** @param {boolean} held whether somebody waits for what will be done */
  hold(held) {
    if (this.#held === held) return;
    this.#held = held;
    this.#keepAlive();
  }

  #keepAlive() {
    this.#handle?.[this.#held ? "ref" : "unref"]?.();
  }
}
