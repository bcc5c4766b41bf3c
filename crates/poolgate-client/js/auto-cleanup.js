// @ts-check
// Asking the server to clean its pool up: by the app's wish, and by itself when severe throttling lasts.

import { jsonOf, retryAfterOf, statusOf } from "./answer.js";
import { AGGRESSIVE } from "./codes.js";
import { errorOf } from "./error-of.js";
import { send } from "./own-request.js";
import { Timer } from "./timer.js";
import { storage } from "./values.js";

/** How long throttling must be severe before a client asks; each waits up to twice as long, so that a few ask first. */
const PATIENCE_MS = 30_000;
/** One browser asks at most this often. The wait doubles with each request that changed nothing, up to the longest. */
const SPACING_MS = 300_000;
const LONGEST_MS = 3_600_000;

/** @typedef {import("./options.js").Options} Options */

/** Asks for a cleanup while throttling stays AGGRESSIVE or EMERGENCY. */
export class AutoCleanup {
  #options;
  #enabled;
  /** Where all tabs of a browser keep the time of the last request. */
  #key;
  #due = Infinity;
  #asked = 0;
  /** The last request in Unix milliseconds, where there is no `localStorage`. */
  #remembered = NaN;
  #timer = new Timer(() => this.#wake());

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#enabled = options.autoCleanup;
    this.#key = `poolgate-cleanup ${options.base}`;
  }

  /**
   * The level is another one.
   * @param {number} level
   * @param {number} now
   */
  observe(level, now) {
    if (level < AGGRESSIVE) {
      this.#due = Infinity;
      this.#asked = 0;
      this.#timer.clear();
    } else if (this.#due === Infinity) {
      this.#schedule(PATIENCE_MS * (1 + Math.random()), now);
    }
  }

  /** Stops for good. */
  end() {
    this.#enabled = false;
    this.#timer.clear();
  }

  /**
   * @param {number} wait
   * @param {number} now
   */
  #schedule(wait, now) {
    if (!this.#enabled) return;
    this.#due = now + wait;
    this.#timer.set(this.#due, now);
  }

  async #wake() {
    const now = performance.now();
    if (now < this.#due) return this.#timer.set(this.#due, now);
    const spacing = Math.min(SPACING_MS * 2 ** this.#asked, LONGEST_MS);
    this.#schedule(spacing * (1 + 0.2 * Math.random()), now);
    if (!this.#claim()) return;
    this.#asked += 1;
    const refused = statusOf(await ask(this.#options).catch(() => undefined));
    // The server does not want to be asked by this page; too many requests are a matter of time alone.
    if (refused >= 400 && refused < 500 && refused !== 429) this.end();
  }

  /** Takes this browser's turn, if another tab has not taken it a short while ago. */
  #claim() {
    const now = Date.now();
    try {
      const stored = storage()?.getItem(this.#key);
      if (stored) this.#remembered = Number(stored);
    } catch {
      // Where storage is missing or forbidden, the page remembers by itself.
    }
    const passed = now - this.#remembered;
    // A clock that was set back must not block the turn for ever.
    if (passed >= 0 && passed < SPACING_MS) return false;
    this.#remembered = now;
    try {
      storage()?.setItem(this.#key, String(now));
    } catch {
      // The same.
    }
    return true;
  }
}

/**
 * Asks once, for the app. Fulfilled with the server's report.
 * @param {Options} options
 */
export async function cleanUp(options) {
  const answer = await ask(options);
  const status = statusOf(answer);
  const body = jsonOf(answer);
  if (status >= 200 && status < 300) return body;
  const problem = await body.catch(() => undefined);
  const code = typeof problem?.code === "string" ? problem.code : "cleanup_failed";
  throw errorOf(code, `the server refused the cleanup with status ${status}`, retryAfterOf(answer));
}

/** @param {Options} options */
const ask = (options) => send(options, "force-cleanup", { method: "POST" });
