// @ts-check
// The throttle, and the only file that calls the WebAssembly module. The module decides; the engine's driver carries out.
//
// A module that traps ends the engine: its methods do nothing from then on, and all requests pass.

import { Throttle } from "../poolgate_client.js";
import { CIRCUITS, Detail, HEALTHS, LEVELS, Learned, News } from "../contract.js";
import { Timer } from "../host/timer.js";
import { codeIn, isConfig, isVersion, readHeader } from "./config.js";

/**
 * @typedef {object} Driver carries out what the throttle decides
 * @property {(event: number, subject: number, now: number) => void} act handles one of `Event`; `subject`: the request, or
 *   the new state
 * @property {() => number} queued how many calls wait for the throttle
 * @property {(now: number) => void} pumped everything that was due is done
 * @property {(config: import("./config.js").Config) => void} adopted a new config document
 * @property {(isHeader: boolean) => void} behind the server has a newer document; `isHeader`: it has sent its header
 * @property {(error: unknown) => void} failed the module does not work any more
 */

export class Engine {
  /** @type {import("./config.js").Config | undefined} the newest document; a header may have been newer */
  document;
  #throttle;
  #driver;
  #wakeup = new Timer(() => this.pump());
  #isFailed = false;
  #isClosed = false;
  /** Calls of `quietly` that are running. */
  #pauses = 0;
  #made = 0;
  /** The last header as text and as read: most headers repeat the one before. */
  #last = { text: "", header: readHeader("") };

  /**
   * @param {{ maxQueue: number, queueTimeoutMs: number }} options
   * @param {Driver} driver
   */
  constructor({ maxQueue, queueTimeoutMs }, driver) {
    this.#driver = driver;
    // The seed comes from the host's generator: two clients must not draw the same jitter.
    this.#throttle = new Throttle(maxQueue, queueTimeoutMs, Math.floor(Math.random() * Number.MAX_SAFE_INTEGER));
  }

  /** Whether requests pass straight through, because the client is closed or the module has failed. */
  get closed() {
    return this.#isClosed;
  }

  /**
   * Asks to send a request; then pump.
   * @param {import("../requests/call.js").Call} call
   * @param {number} now
   * @returns {number | undefined} the id of a request that may start, minus the id of one that waits, 0 for one that is
   *   rejected (see `rejection`); `undefined`: the module does not work
   */
  submit({ priority, bypass, queueTimeoutMs }, now) {
    this.#made += 1;
    return this.#safely(() => this.#throttle.submit(priority, bypass, queueTimeoutMs ?? NaN, now));
  }

  /** Why the last rejected request was rejected, and after how many milliseconds another attempt may succeed. */
  rejection() {
    const throttle = this.#throttle;
    return /** @type {const} */ ([throttle.detail(Detail.reason), throttle.detail(Detail.retryAfter)]);
  }

  /**
   * A request has ended; then pump.
   * @param {number} id
   * @param {number} outcome one of `Outcome`
   */
  complete(id, outcome, now = performance.now()) {
    this.#safely(() => this.#throttle.complete(id, outcome, now));
  }

  /** A request that waits will not be sent; then pump. @param {number} id */
  abort(id) {
    this.#safely(() => this.#throttle.abort(id, performance.now()));
  }

  /**
   * Takes in what the server said: a config document, the version in force, the text of a header, or one of `News`. Then
   * pump. What is malformed or out of range is ignored.
   * @param {unknown} news
   * @returns {number | undefined} one of `Learned`; `undefined`: the module does not work
   */
  learn(news, now = performance.now()) {
    const isHeader = typeof news === "string";
    const learned = this.#safely(() => {
      const throttle = this.#throttle;
      if (isHeader) return this.#learnHeader(news, now);
      if (isConfig(news)) return this.#learnDocument(news, now);
      if (isVersion(news)) return throttle.learn_current(news.epoch, news.version, now);
      return typeof news === "number" ? throttle.learn(news, now) : Learned.invalid;
    });
    if (learned === Learned.missed || (isHeader && learned === Learned.applied)) this.#driver.behind(isHeader);
    return learned;
  }

  /**
   * The gate of the server with this epoch (0: unknown) has rejected a request; then pump.
   * @param {number | undefined} retryAfterMs
   * @param {number} epoch
   */
  turnedAway(retryAfterMs, epoch) {
    this.#safely(() => this.#throttle.turned_away(retryAfterMs ?? NaN, epoch, performance.now()));
  }

  /**
   * How long a failed request waits before another attempt, in milliseconds; infinite: it gets none.
   * @param {number} backoff what the request's last retry gave, 0 before the first
   * @param {number | undefined} retryAfterMs what the server asks for
   */
  retry(backoff, retryAfterMs) {
    const wait = this.#safely(() => this.#throttle.retry(backoff, retryAfterMs ?? NaN, performance.now())) ?? Infinity;
    return { wait, backoff: wait < Infinity ? this.#throttle.detail(Detail.subject) : 0 };
  }

  /**
   * When to ask again whether a request of a route may start; infinite: it may, and counts.
   * @param {number} route
   */
  admit(route) {
    return this.#safely(() => this.#throttle.admit(route, performance.now())) ?? Infinity;
  }

  /**
   * Takes in what another limiter than the gate said about a route.
   * @param {number} route
   * @param {import("../requests/answer.js").Wishes} wishes
   */
  learnRoute(route, { retryAfterMs = NaN, quota }) {
    const { remaining = NaN, reset = 0 } = quota ?? {};
    this.#safely(() => this.#throttle.learn_route(route, retryAfterMs, remaining, reset, performance.now()));
  }

  /**
   * Uses `held` of `of` slots from now on, and tokens that others gave up; with 0 for `of`, all slots but `held`. Then pump.
   * @param {number} held
   * @param {number} of
   * @param {number} tokens
   * @returns {number} tokens that go to others
   */
  share(held, of, tokens) {
    return this.#safely(() => this.#throttle.set_share(held, of, tokens, performance.now())) ?? 0;
  }

  /**
   * The numbers that `restore` takes; `undefined` when a new client would have the same budget.
   * @param {number} now
   */
  savings(now) {
    return this.#safely(() => (this.#throttle.savings(now) ? this.#readings(5) : undefined));
  }

  /**
   * Continues with the budget that was saved `age` milliseconds ago.
   * @param {[tokens: number, rate: number, cost: number, paused: number, epoch: number, age: number, now: number]} saved
   */
  restore(...saved) {
    this.#safely(() => this.#throttle.restore(...saved));
  }

  /** How many requests the app has made since this was asked last. */
  takeMade() {
    const made = this.#made;
    this.#made = 0;
    return made;
  }

  /**
   * Carries out what the throttle says is due, and sets the next wake-up.
   * @param {number} [now] the time, if the caller knows it: reading the clock is a good part of what a call costs
   */
  pump(now = performance.now()) {
    if (this.#pauses > 0) return;
    this.#safely(() => {
      const driver = this.#driver;
      const throttle = this.#throttle;
      // Handling an event may take a while.
      for (let event; (event = throttle.poll(now)); now = performance.now()) {
        driver.act(event, throttle.detail(Detail.subject), now);
      }
      const waits = driver.queued() > 0;
      this.#wakeup.hold(waits);
      if (waits && !this.#isClosed) this.#wakeup.set(throttle.next_wakeup(), now);
      driver.pumped(now);
    });
  }

  /**
   * Does something during which no request starts.
   * @template T
   * @param {() => T} act
   */
  quietly(act) {
    this.#pauses += 1;
    const result = act();
    this.#pauses -= 1;
    return result;
  }

  /** What is in force, as the throttle has it. */
  read() {
    return this.#safely(() => {
      this.#throttle.read(performance.now());
      const [level, health, breaker, enforced, stale, passes, inFlight, oldestWaitMs, earliest, latest, rate, concurrency] =
        this.#readings(12);
      return {
        level,
        health,
        breaker,
        enforced: enforced > 0,
        inFlight,
        oldestWaitMs,
        stale: stale > 0,
        earliest,
        latest,
        rate,
        /** Requests in flight that all tabs together may have; 0: any number. */
        concurrency: passes || concurrency === Infinity ? 0 : concurrency,
      };
    });
  }

  /** What is in force, as the app sees it. */
  state() {
    const reading = this.read();
    if (!reading) return undefined;
    const { concurrency, rate, earliest, latest, level, health, breaker, ...rest } = reading;
    return {
      level: LEVELS[level],
      health: HEALTHS[health],
      breaker: CIRCUITS[breaker],
      ...rest,
      config: this.document ?? null,
      etaMs: earliest < Infinity ? { earliest, latest } : null,
      ratePerSecond: rate < Infinity ? rate : null,
    };
  }

  /** Rejects all calls that wait; later ones pass. */
  close() {
    this.#isClosed = true;
    this.learn(News.closed);
    this.pump();
    this.#wakeup.clear();
  }

  /** @param {import("./config.js").Config} document @param {number} now */
  #learnDocument(document, now) {
    const learned = this.#throttle.learn_config(
      document.epoch,
      document.version,
      codeIn(LEVELS, document.throttling_level),
      codeIn(HEALTHS, document.health),
      document.enforced,
      document.circuit_breaker_open,
      document.emergency_mode_active,
      document.max_concurrent_requests,
      document.max_requests_per_minute,
      document.request_delay_ms,
      document.fair_rate_per_second ?? NaN,
      document.poll_after_seconds,
      document.ttl_seconds,
      document.retry_after_seconds ?? NaN,
      document.probe_fraction ?? NaN,
      now,
    );
    if (learned === Learned.applied || (!this.document && learned !== Learned.invalid)) {
      this.document = document;
      this.#driver.adopted(document);
    }
    return learned;
  }

  /** @param {string} text @param {number} now */
  #learnHeader(text, now) {
    if (this.#last.text !== text) this.#last = { text, header: readHeader(text) };
    const { header } = this.#last;
    if (!header) return Learned.invalid;
    const { epoch, version, level, interval, concurrency, open } = header;
    return this.#throttle.learn_header(epoch, version, codeIn(LEVELS, level), interval ?? NaN, concurrency, open, now);
  }

  /** @param {number} count */
  #readings(count) {
    return Array.from({ length: count }, (_, index) => this.#throttle.detail(Detail.reading + index));
  }

  /**
   * Calls the module. `undefined`: it does not work any more.
   * @template T
   * @param {() => T} act
   * @returns {T | undefined}
   */
  #safely(act) {
    if (this.#isFailed) return undefined;
    try {
      return act();
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    if (this.#isFailed) return;
    this.#isFailed = this.#isClosed = true;
    this.#wakeup.clear();
    this.#driver.failed(error);
  }
}
