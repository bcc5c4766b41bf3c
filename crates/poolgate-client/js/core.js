// @ts-check
// The client behind the shell: one throttle, what feeds it, and what it drives. Decisions are the module's; here they are
// carried out.

import { Throttle } from "./poolgate_client.js";
import { AutoCleanup, cleanUp } from "./auto-cleanup.js";
import { Attempts } from "./attempts.js";
import { Budget } from "./budget.js";
import { CIRCUITS, Detail, Event, HEALTHS, LEVELS, Learned, News } from "./codes.js";
import { readCall } from "./call.js";
import { isConfig, isVersion, levelOf, readHeader } from "./config.js";
import { Requests, asAnswer } from "./requests.js";
import { Scope } from "./scope.js";
import { Timer } from "./timer.js";
import { Transport } from "./transport.js";
import { seed } from "./values.js";

/** @type {import("./index.js").ClientState["transport"]} */
const NO_CONTACT = "none";

/**
 * @typedef {object} Shell
 * @property {boolean} shared other clients of this browser act with this one as a single client
 * @property {(news: unknown) => void} relay hands on what the others are to hear
 * @property {(inFlight: number, queued: number, limit: number, made: number) => void} demand how much there is to do;
 *   `limit`: requests in flight that all together may have (0: any number); `made`: requests since it was last told
 * @property {(type: string, detail: unknown) => void} emit
 * @property {(error: unknown) => void} failed the module does not work any more
 */

export class Core {
  /** Requests that the app has made since the others were last told. */
  made = 0;
  closed = false;
  /** How many calls are being taken in, after which somebody pumps. */
  pauses = 0;
  /** @type {import("./config.js").Config | undefined} the newest whole document; a header may have been newer */
  document;
  #shell;
  #budget;
  #cleanup;
  #transport;
  #requests;
  #attempts;
  #wakeup = new Timer(() => this.pump());
  #leading = false;
  #failed = false;
  #telling = false;
  /** The others wait for slots that requests in flight still hold. */
  #owing = false;
  /** What listeners were told last. */
  #told = { level: 0, breaker: 0, stale: false, transport: NO_CONTACT, queued: 0 };

  /**
   * A client that has begun to look for its config.
   * @param {import("./options.js").Options} options
   * @param {Shell} shell
   */
  constructor(options, shell) {
    this.#shell = shell;
    this.options = options;
    this.throttle = new Throttle(this.options.maxQueue, this.options.queueTimeoutMs, seed());
    this.scope = new Scope(this.options);
    this.#requests = new Requests(this);
    this.#attempts = new Attempts(this, this.#requests);
    this.#budget = new Budget(this.options.base);
    this.#cleanup = new AutoCleanup(this.options);
    this.#transport = new Transport(this);
    if (shell.shared) this.share(0, 1, 0, false);
    else this.lead(true);
  }

  /**
   * `fetch` with limits. What is wrong becomes a rejection, as with the host's.
   * @param {any} input
   * @param {any} init
   * @returns {Promise<any>}
   */
  fetch(input, init) {
    const { responds } = this.options;
    const promise = this.#fetch(input, init);
    if (!responds) return promise;
    return promise.catch((error) => {
      if (responds === "open" && error?.code !== "circuit_open") throw error;
      return asAnswer(error);
    });
  }

  /**
   * @param {any} input
   * @param {any} init
   * @returns {Promise<any>}
   */
  #fetch(input, init) {
    const counts = this.closed ? undefined : this.scope.covers(input);
    if (!counts && !(counts === false && this.#attempts.routes)) return this.pass(input, init);
    let call;
    try {
      call = readCall(input, init);
      if (call.signal?.aborted) return this.#requests.rejectAborted(call, input, init);
    } catch (thrown) {
      return Promise.reject(thrown);
    }
    const retries = counts ? call.retries ?? this.options.retries : 0;
    if (retries > 0 || this.#attempts.routes) return this.#attempts.make(call, input, init, counts, retries);
    return this.#requests.submit(call, input, init);
  }

  /**
   * Straight to the host's fetch. Never throws.
   * @param {any} input
   * @param {any} init
   * @returns {Promise<any>}
   */
  pass(input, init) {
    const { fetch } = this.options;
    try {
      return Promise.resolve(fetch(input, init));
    } catch (thrown) {
      return Promise.reject(thrown);
    }
  }

  /** Asks the server for its config now. Fulfilled with the config in force. */
  refresh() {
    return this.#transport.ask();
  }

  /** Asks the server to clean its pool up. Fulfilled with its report. */
  cleanup() {
    return cleanUp(this.options);
  }

  /**
   * Looks for configs itself, on behalf of all clients of this browser, and goes on with the budget that whoever did so before
   * has left; or leaves that to another one, and the budget too.
   * @param {boolean} leads
   */
  lead(leads) {
    this.safely(() => {
      if (!leads) {
        if (this.#leading) this.#save(performance.now());
        this.#leading = false;
        this.#transport.follow();
      } else if (!this.closed && !this.#leading) {
        this.#leading = true;
        this.#budget.restore(this.throttle, performance.now());
        this.#transport.lead();
        this.pump();
      }
    });
  }

  /** The page is left, for good or for the back/forward cache: starts what may outlive it, closes the stream. */
  leave() {
    this.#requests.startKeepalive();
    this.#attempts.startKeepalive();
    this.lead(false);
  }

  /** Rejects what waits, stops timers and streams; `fetch` then passes straight through. */
  close() {
    if (this.closed) return;
    this.closed = true;
    this.safely(() => {
      this.#transport.end();
      this.throttle.learn(News.closed, performance.now());
    });
    this.#cleanup.end();
    this.pump();
    this.#wakeup.clear();
    this.#attempts.end();
    this.safely(() => this.tellContact());
  }

  /**
   * Does something that needs the module. `undefined`: that does not work any more.
   * @template T
   * @param {() => T} act
   * @returns {T | undefined}
   */
  safely(act) {
    if (this.#failed) return undefined;
    try {
      return act();
    } catch (error) {
      this.fail(error);
      return undefined;
    }
  }

  /**
   * The module does not work any more: what waits passes, and so does what comes.
   * @param {unknown} error
   */
  fail(error) {
    if (this.#failed) return;
    this.#failed = this.closed = true;
    this.#wakeup.clear();
    this.#cleanup.end();
    this.#transport.abandon();
    this.#requests.passAll();
    this.#attempts.passAll();
    this.#shell.failed(error);
  }

  /**
   * Takes in what another client of this browser relayed.
   * @param {unknown} news
   */
  hear(news) {
    if (Array.isArray(news)) return this.#budget.keep(news);
    this.safely(() => {
      const now = performance.now();
      if (news !== null) this.#transport.heardOf();
      if (isConfig(news)) this.learnDocument(news);
      else if (isVersion(news)) this.learned(this.throttle.learn_current(news.epoch, news.version, now));
      else if (typeof news === "string") this.learnHeader(readHeader(news), now);
      else if (news === null) this.learned(this.throttle.learn(News.notFound, now));
    });
    this.pump();
  }

  /**
   * Hands on what the server said: a document, a version, a header, `null` where it has no config; or what is left of the
   * budget, where this is a worker and cannot store it.
   * @param {unknown} news
   */
  relay(news) {
    if (this.#shell.shared) this.#shell.relay(news);
  }

  /**
   * Uses `held` of `of` slots from now on, or with 0 for `of` all but `held`, and the tokens that others gave up; gives those
   * that go to others.
   * @param {number} held
   * @param {number} of
   * @param {number} tokens
   * @param {boolean} owing the shell wants to hear of every request that ends
   */
  share(held, of, tokens, owing) {
    this.#owing = owing;
    const given = this.safely(() => this.throttle.set_share(held, of, tokens, performance.now()));
    this.pump();
    return given ?? 0;
  }

  /** Tells the shell how much there is to do. */
  demand() {
    this.safely(() => {
      const { inFlight, concurrency } = this.#read();
      this.#shell.demand(inFlight, this.#requests.queued, concurrency, this.made);
      this.made = 0;
    });
  }

  /**
   * Takes in a document; then pump.
   * @param {import("./config.js").Config} document
   * @returns {boolean} `false`: it was out of range, and is ignored
   */
  learnDocument(document) {
    const learned = this.throttle.learn_config(
      document.epoch,
      document.version,
      levelOf(document.throttling_level),
      HEALTHS.indexOf(document.health),
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
      performance.now(),
    );
    if (learned === Learned.applied || (!this.document && learned !== Learned.invalid)) {
      this.document = document;
      this.#emit("config", document);
    }
    return learned !== Learned.invalid;
  }

  /**
   * What became of other news; then pump.
   * @param {number} learned as the throttle's `learn` methods say it
   */
  learned(learned) {
    if (learned === Learned.missed) this.#transport.askSoon();
  }

  /**
   * Takes in the header of a response; then pump.
   * @param {import("./config.js").Header | undefined} header
   * @param {number} now
   * @returns {boolean} whether it was news
   */
  learnHeader(header, now) {
    if (!header) return false;
    const { epoch, version, level, interval, concurrency, open } = header;
    const learned = this.throttle.learn_header(epoch, version, levelOf(level), interval ?? NaN, concurrency, open, now);
    // A header says less than the document, which a stream is about to bring.
    const isBehind = learned === Learned.applied && this.#transport.kind !== "sse";
    if (isBehind || learned === Learned.missed) this.#transport.askSoon();
    return learned === Learned.applied;
  }

  /**
   * Does what the throttle says is due, tells listeners, and sets the next wake-up.
   * @param {number} [now] of whoever has just asked for the time: that is a good part of what a call costs
   */
  pump(now = performance.now()) {
    if (this.#failed) return this.#requests.passAll();
    if (this.pauses > 0) return;
    const { throttle } = this;
    try {
      // Whatever is done about an event may take a while.
      for (let event; (event = throttle.poll(now)); now = performance.now()) this.#act(event, now);
      const waits = this.#requests.queued > 0;
      this.#wakeup.hold(waits);
      if (waits && !this.closed) this.#wakeup.set(throttle.next_wakeup(), now);
      if (this.#leading && this.#budget.isDue(now)) this.#save(now);
      if (this.#shell.shared && (waits || this.#owing)) this.demand();
      this.#tellQueue();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Other limiters than the gate are listened to. */
  get listensToOthers() {
    return this.#attempts.routes !== undefined;
  }

  /** Calls that wait, for whatever. */
  get queued() {
    return this.#requests.queued + this.#attempts.waiting;
  }

  /** Limits act, so that news is urgent. */
  get isEnforced() {
    return this.#read().enforced;
  }

  /** What the client does at the moment. @returns {import("./index.js").ClientState | undefined} */
  state() {
    const state = this.safely(() => this.#read());
    if (!state) return undefined;
    const { concurrency, rate, earliest, latest, level, health, breaker, ...rest } = state;
    return {
      level: LEVELS[level],
      health: HEALTHS[health],
      breaker: CIRCUITS[breaker],
      ...rest,
      config: this.document ?? null,
      queued: this.queued,
      etaMs: earliest < Infinity ? { earliest, latest } : null,
      transport: this.#transport.kind,
      ratePerSecond: rate < Infinity ? rate : null,
    };
  }

  /** Tells listeners how the client learns of configs, if that has changed. */
  tellContact() {
    const told = this.#told;
    const { kind } = this.#transport;
    if (told.transport !== kind) {
      told.transport = kind;
      this.#tellSync();
    }
  }

  /** @param {number} now */
  #save(now) {
    const told = this.#budget.save(this.throttle, now);
    if (told) this.relay(told);
  }

  #tellQueue() {
    // A listener that makes a call changes it again; others hear of that later.
    if (this.#telling) return;
    this.#telling = true;
    while (this.#told.queued !== this.queued) {
      const { queued } = this;
      this.#told.queued = queued;
      this.#emit("queuechange", { queued, inFlight: this.#read().inFlight });
    }
    this.#telling = false;
  }

  #tellSync() {
    const { stale, transport } = this.#told;
    this.#emit("syncchange", { stale, transport });
  }

  /**
   * @param {number} event
   * @param {number} now
   */
  #act(event, now) {
    const told = this.#told;
    const value = this.throttle.detail(Detail.subject);
    if (event === Event.start) this.#requests.start(value);
    else if (event === Event.reject) this.#requests.reject(value);
    else if (event === Event.level) {
      const from = LEVELS[told.level];
      told.level = value;
      this.#cleanup.observe(value, now);
      this.#emit("levelchange", { from, to: LEVELS[value] });
    } else if (event === Event.breaker) {
      const from = CIRCUITS[told.breaker];
      told.breaker = value;
      this.#emit("breakerchange", { from, to: CIRCUITS[value] });
    } else if (event === Event.stale) {
      told.stale = value > 0;
      this.#tellSync();
    } else if (event === Event.ask) {
      this.#transport.askSoon();
    }
  }

  #read() {
    const { throttle } = this;
    throttle.read(performance.now());
    const [level, health, breaker, enforced, stale, passes, inFlight, oldestWaitMs, earliest, latest, rate, concurrency] =
      Array.from({ length: 12 }, (_, index) => throttle.detail(Detail.reading + index));
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
      concurrency: passes || concurrency === Infinity ? 0 : concurrency,
    };
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #emit(type, detail) {
    this.#shell.emit(type, detail);
  }
}
