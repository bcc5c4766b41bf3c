// @ts-check
// Asks the server to clean its pool up: when the app wants it, and automatically when severe throttling lasts.

import { AGGRESSIVE, FORCE_CLEANUP } from "../contract.js";
import { storage } from "../host/storage.js";
import { Timer } from "../host/timer.js";
import { jsonOf, retryAfterOf, statusOf } from "../requests/answer.js";
import { errorOf } from "../requests/error-of.js";
import { send } from "../transport/own-request.js";

/** How long throttling must be severe before a client asks. Each waits up to twice as long, so that a few ask first. */
const PATIENCE_MS = 30_000;
/** One browser asks at most this often. The wait doubles with each request that changed nothing, up to `LONGEST_MS`. */
const SPACING_MS = 300_000;
const LONGEST_MS = 3_600_000;
/** The server's report then says that no person asked. */
const BY_CLIENT = "?trigger=client";

/** @typedef {import("../client/options.js").Options} Options */

/** Asks for a cleanup while throttling stays AGGRESSIVE or EMERGENCY. */
export class AutoCleanup {
  #options;
  #enabled;
  /** The storage key under which all tabs of a browser keep the time of the last request. */
  #key;
  #due = Infinity;
  #asked = 0;
  /** The last request in Unix milliseconds, for hosts without `localStorage`. */
  #remembered = NaN;
  #timer = new Timer(() => this.#wake());

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#enabled = options.autoCleanup;
    this.#key = `poolgate-cleanup ${options.base}`;
  }

  /**
   * The level has changed.
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
    const refused = statusOf(await ask(this.#options, BY_CLIENT).catch(() => undefined));
    // The server refuses this page; 429 alone means "later".
    if (refused >= 400 && refused < 500 && refused !== 429) this.end();
  }

  /** Takes this browser's turn, unless another tab has taken it recently. */
  #claim() {
    const now = Date.now();
    try {
      const stored = storage()?.getItem(this.#key);
      if (stored) this.#remembered = Number(stored);
    } catch {
      // Storage is missing or forbidden: the page remembers by itself.
    }
    const passed = now - this.#remembered;
    // A clock that was set back must not block the turn forever.
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
 * Asks once, for the app. Resolves to the server's report.
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

/** @param {Options} options @param {string} [query] */
const ask = (options, query = "") => send(options, FORCE_CLEANUP + query, { method: "POST" });
