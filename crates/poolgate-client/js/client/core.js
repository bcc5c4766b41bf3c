// @ts-check
// One client: connects the engine with the parts that carry out its decisions. A part gets the engine and callbacks, and
// knows nothing of this file.

import { CIRCUITS, Event, LEVELS, News } from "../contract.js";
import { Budget } from "../engine/budget.js";
import { Engine } from "../engine/engine.js";
import { Attempts } from "../extras/attempts.js";
import { AutoCleanup, cleanUp } from "../extras/auto-cleanup.js";
import { pass } from "../host/fetch.js";
import { readCall } from "../requests/call.js";
import { asAnswer } from "../requests/rejection.js";
import { Requests } from "../requests/requests.js";
import { Scope } from "../requests/scope.js";
import { Transport } from "../transport/transport.js";

/** @type {import("../index.js").ClientState["transport"]} */
const NO_CONTACT = "none";

/**
 * @typedef {object} Callbacks
 * @property {boolean} shared all tabs and workers of this browser act as one client
 * @property {(news: unknown) => void} relay hands the server's news on to the other tabs
 * @property {(inFlight: number, queued: number, limit: number, made: number) => void} demand what this client has to do;
 *   `limit`: requests in flight that all tabs together may have, 0 for any number; `made`: requests since the last call
 * @property {(type: string, detail: unknown) => void} emit
 * @property {(error: unknown) => void} failed the module does not work any more
 */

export class Core {
  #options;
  #callbacks;
  #engine;
  #scope;
  #requests;
  #attempts;
  #budget;
  #cleanup;
  #transport;
  #isLeading = false;
  #isTelling = false;
  /** Another tab waits for slots that requests in flight still hold. */
  #isOwing = false;
  /** What listeners were told last. */
  #told = { level: 0, breaker: 0, stale: false, transport: NO_CONTACT, queued: 0 };

  /**
   * A client that has begun to look for its config.
   * @param {import("./options.js").Options} options
   * @param {Callbacks} callbacks
   */
  constructor(options, callbacks) {
    this.#options = options;
    this.#callbacks = callbacks;
    const relay = (/** @type {unknown} */ news) => this.#relay(news);
    const engine = (this.#engine = new Engine(options, {
      act: (event, subject, now) => this.#act(event, subject, now),
      queued: () => this.#requests.queued,
      pumped: (now) => this.#pumped(now),
      adopted: (config) => callbacks.emit("config", config),
      behind: (isHeader) => this.#behind(isHeader),
      failed: (error) => this.#failed(error),
    }));
    this.#scope = new Scope(options);
    this.#requests = new Requests(engine, options, relay);
    this.#attempts = new Attempts(engine, options, this.#requests);
    this.#budget = new Budget(options.base);
    this.#cleanup = new AutoCleanup(options);
    this.#transport = new Transport(engine, options, { relay, contact: () => this.#tellContact() });
    if (callbacks.shared) this.share(0, 1, 0, false);
    else this.lead(true);
  }

  /**
   * `fetch` with limits. Never throws: an exception becomes a rejection, as with the host's `fetch`.
   * @param {any} input
   * @param {any} init
   * @returns {Promise<any>}
   */
  fetch(input, init) {
    const { responds } = this.#options;
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
    const counts = this.#engine.closed ? undefined : this.#scope.covers(input);
    const { fetch, honourForeignLimits, retries } = this.#options;
    if (!counts && !(counts === false && honourForeignLimits)) return pass(fetch, input, init);
    let call;
    try {
      call = readCall(input, init);
      if (call.signal?.aborted) return this.#requests.rejectAborted(call, input, init);
    } catch (thrown) {
      return Promise.reject(thrown);
    }
    const left = counts ? call.retries ?? retries : 0;
    if (left > 0 || honourForeignLimits) return this.#attempts.make(call, input, init, counts, left);
    return this.#requests.submit(call, input, init);
  }

  /** Asks the server for its config now. Resolves to the config in force. */
  refresh() {
    return this.#transport.ask();
  }

  /** Asks the server to clean its pool up. Resolves to its report. */
  cleanup() {
    return cleanUp(this.#options);
  }

  /**
   * Starts or stops to look for configs on behalf of all tabs. A leader continues with the budget that the one before has
   * left.
   * @param {boolean} leads
   */
  lead(leads) {
    const engine = this.#engine;
    if (engine.closed) return;
    if (!leads) {
      if (this.#isLeading) this.#save(performance.now());
      this.#isLeading = false;
      this.#transport.follow();
    } else if (!this.#isLeading) {
      this.#isLeading = true;
      this.#budget.restore(engine, performance.now());
      this.#transport.lead();
      engine.pump();
    }
  }

  /** The page is left, for good or for the back/forward cache: starts requests that may outlive it, closes the stream. */
  leave() {
    this.#requests.startKeepalive();
    this.#attempts.startKeepalive();
    this.lead(false);
  }

  /** Rejects calls that wait, stops timers and streams; `fetch` then passes straight through. */
  close() {
    if (this.#engine.closed) return;
    this.#transport.end();
    this.#cleanup.end();
    this.#engine.close();
    this.#attempts.end();
    this.#tellContact();
  }

  /**
   * Takes in what another tab relayed.
   * @param {unknown} news
   */
  hear(news) {
    if (Array.isArray(news)) return this.#budget.keep(news);
    if (news !== null) this.#transport.heardOf();
    this.#engine.learn(news ?? News.notFound);
    this.#engine.pump();
  }

  /**
   * Uses `held` of `of` slots from now on, and tokens that others gave up; with 0 for `of`, all slots but `held`.
   * @param {number} held
   * @param {number} of
   * @param {number} tokens
   * @param {boolean} owing whether to report the demand after every request that ends
   * @returns {number} tokens that go to others
   */
  share(held, of, tokens, owing) {
    this.#isOwing = owing;
    const given = this.#engine.share(held, of, tokens);
    this.#engine.pump();
    return given;
  }

  /** Reports what there is to do. */
  demand() {
    const reading = this.#engine.read();
    if (!reading) return;
    const { inFlight, concurrency } = reading;
    this.#callbacks.demand(inFlight, this.#requests.queued, concurrency, this.#engine.takeMade());
  }

  /** The newest config document. */
  get document() {
    return this.#engine.document;
  }

  /** Calls that wait: for the throttle, for their route, or for another attempt. */
  get queued() {
    return this.#requests.queued + this.#attempts.waiting;
  }

  /** What the client does at the moment. @returns {import("../index.js").ClientState | undefined} */
  state() {
    const state = this.#engine.state();
    return state && { ...state, queued: this.queued, transport: this.#transport.kind };
  }

  /**
   * Hands on what the server said: a document, a version, a header, `null` if it has no config; or the budget, if this is a
   * worker and cannot store it.
   * @param {unknown} news
   */
  #relay(news) {
    if (this.#callbacks.shared) this.#callbacks.relay(news);
  }

  /** @param {boolean} isHeader */
  #behind(isHeader) {
    // A header says less than the document, and a stream is about to bring that.
    if (!isHeader || this.#transport.kind !== "sse") this.#transport.askSoon();
  }

  /** @param {number} now */
  #pumped(now) {
    if (this.#isLeading && this.#budget.isDue(now)) this.#save(now);
    if (this.#callbacks.shared && (this.#requests.queued > 0 || this.#isOwing)) this.demand();
    this.#tellQueue();
  }

  /** @param {unknown} error */
  #failed(error) {
    this.#cleanup.end();
    this.#transport.end();
    this.#requests.passAll();
    this.#attempts.passAll();
    this.#callbacks.failed(error);
  }

  /** @param {number} now */
  #save(now) {
    const list = this.#budget.save(this.#engine, now);
    if (list) this.#relay(list);
  }

  /**
   * @param {number} event
   * @param {number} subject
   * @param {number} now
   */
  #act(event, subject, now) {
    const told = this.#told;
    if (event === Event.start) this.#requests.start(subject);
    else if (event === Event.reject) this.#requests.reject(subject);
    else if (event === Event.level) {
      const from = LEVELS[told.level];
      told.level = subject;
      this.#cleanup.observe(subject, now);
      this.#callbacks.emit("levelchange", { from, to: LEVELS[subject] });
    } else if (event === Event.breaker) {
      const from = CIRCUITS[told.breaker];
      told.breaker = subject;
      this.#callbacks.emit("breakerchange", { from, to: CIRCUITS[subject] });
    } else if (event === Event.stale) {
      told.stale = subject > 0;
      this.#tellSync();
    } else if (event === Event.ask) {
      this.#transport.askSoon();
    }
  }

  #tellQueue() {
    // A listener that makes a call changes the number again; the outer loop then tells it.
    if (this.#isTelling) return;
    this.#isTelling = true;
    while (this.#told.queued !== this.queued) {
      const { queued } = this;
      this.#told.queued = queued;
      this.#callbacks.emit("queuechange", { queued, inFlight: this.#engine.read()?.inFlight ?? 0 });
    }
    this.#isTelling = false;
  }

  /** Tells listeners when configs arrive in another way. */
  #tellContact() {
    const told = this.#told;
    const { kind } = this.#transport;
    if (told.transport !== kind) {
      told.transport = kind;
      this.#tellSync();
    }
  }

  #tellSync() {
    const { stale, transport } = this.#told;
    this.#callbacks.emit("syncchange", { stale, transport });
  }
}
