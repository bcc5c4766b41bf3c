// @ts-check
// The app's requests: submitted, queued, started, settled.
//
// The host's `fetch` gets the app's own arguments, and the app gets its `Response` untouched: only the head is read on the
// way.

import { CONFIG_HEADER, Learned, News, Outcome } from "../contract.js";
import { readHeader } from "../engine/config.js";
import { pass } from "../host/fetch.js";
import { headOf, headerOf, isCached, isTheGates, problemOf, wishesOf } from "./answer.js";
import { rejectionOf } from "./rejection.js";
import { Snapshot } from "./snapshot.js";

/** The limit that browsers set for the bodies of all `keepalive` requests in flight together. */
const KEEPALIVE_BYTES = 65_536;

/**
 * @typedef {object} Waiting a call that has only its promise so far
 * @property {Snapshot} snapshot
 * @property {(answer: unknown) => void} resolve
 * @property {(reason: unknown) => void} reject
 * @property {any} signal
 * @property {() => void} giveUp
 */

export class Requests {
  #engine;
  #fetch;
  #heedsOthers;
  #relay;
  /** @type {Map<number, Waiting>} */
  #waiting = new Map();

  /**
   * @param {import("../engine/engine.js").Engine} engine
   * @param {{ fetch: typeof globalThis.fetch, honourForeignLimits: boolean }} options
   * @param {(news: unknown) => void} relay hands the server's news on to other tabs
   */
  constructor(engine, { fetch, honourForeignLimits }, relay) {
    this.#engine = engine;
    this.#fetch = fetch;
    this.#heedsOthers = honourForeignLimits;
    this.#relay = relay;
  }

  get queued() {
    return this.#waiting.size;
  }

  /**
   * Sends a request now, queues it, or rejects it.
   * @param {import("./call.js").Call} call
   * @param {any} input
   * @param {any} init
   * @returns {Promise<any>}
   */
  submit(call, input, init) {
    const engine = this.#engine;
    const now = performance.now();
    const id = engine.submit(call, now);
    if (id === undefined) return pass(this.#fetch, input, init);
    const promise =
      id > 0 ? this.#launch(id, call.signal, input, init) : id < 0 ? this.#enqueue(-id, call, input, init) : this.#rejected();
    engine.pump(now);
    // The module may have failed while the app's getters ran.
    if (engine.closed) this.passAll();
    return promise;
  }

  /**
   * Ends a call that was aborted before it was made. Its body counts as used all the same, and wrong arguments are reported
   * first, as by the host's `fetch`.
   * @param {import("./call.js").Call} call
   * @param {any} input
   * @param {any} init
   * @returns {Promise<any>}
   */
  rejectAborted({ signal: { reason } }, input, init) {
    const snapshot = snapshotOf(input, init);
    snapshot?.cancel(reason);
    return snapshot ? Promise.reject(reason) : pass(this.#fetch, input, init);
  }

  /**
   * The wait is over: sends the request.
   * @param {number} id
   */
  start(id) {
    const waiting = this.#take(id);
    if (waiting) waiting.resolve(this.#launch(id, waiting.signal, ...waiting.snapshot.arguments()));
    else this.#engine.complete(id, Outcome.aborted);
  }

  /**
   * Ends a wait without a request.
   * @param {number} id
   */
  reject(id) {
    const waiting = this.#take(id);
    if (!waiting) return;
    waiting.snapshot.release();
    this.#rejected().then(waiting.resolve, waiting.reject);
  }

  /**
   * The page is left: sends the requests that may outlive it, as many at a time as the browser accepts.
   */
  startKeepalive() {
    const ids = [...this.#waiting.keys()].filter((id) => this.#waiting.get(id)?.snapshot.isKeepalive);
    let sent = 0;
    const next = () => {
      for (let id; (id = ids[0]); ids.shift()) {
        const size = this.#waiting.get(id)?.snapshot.size ?? 0;
        if (sent > 0 && sent + size > KEEPALIVE_BYTES) return;
        this.#engine.abort(id);
        sent += size;
        const over = () => {
          sent -= size;
          next();
        };
        // The browser counts a request until its whole answer has been read.
        this.#pass(id)?.then((answer) => answer.clone().arrayBuffer()).then(over, over);
      }
    };
    next();
  }

  /** Sends all requests that wait, past the throttle. */
  passAll() {
    for (const id of this.#waiting.keys()) this.#pass(id);
  }

  /**
   * Pauses all requests if the answer is a rejection by the gate; otherwise hands on what the answer asks for.
   * @param {any} answer
   * @param {(wishes: import("./answer.js").Wishes) => void} [otherwise]
   */
  async heed(answer, otherwise) {
    const problem = problemOf(answer);
    if (!problem && !otherwise) return;
    const wishes = wishesOf(answer);
    if (isTheGates(await problem)) {
      const { retryAfterMs, quota } = wishes;
      const wait = retryAfterMs ?? (quota?.remaining === 0 ? quota.reset * 1000 : undefined);
      this.#engine.turnedAway(wait, readHeader(headerOf(answer, CONFIG_HEADER) ?? "")?.epoch ?? 0);
      this.#engine.pump();
    } else {
      otherwise?.(wishes);
    }
  }

  /**
   * @param {number} id
   * @param {any} signal the app's
   * @param {any} input
   * @param {any} init
   * @returns {Promise<any>}
   */
  #launch(id, signal, input, init) {
    const engine = this.#engine;
    const fetch = this.#fetch;
    let promise;
    try {
      // A custom fetch may return any thenable; a native promise stays the same object.
      promise = Promise.resolve(fetch(input, init));
    } catch (thrown) {
      engine.complete(id, Outcome.aborted);
      return Promise.reject(thrown);
    }
    return promise.then(
      (answer) => {
        this.#fulfilled(id, answer);
        return answer;
      },
      (thrown) => {
        engine.complete(id, signal?.aborted ? Outcome.aborted : Outcome.failure);
        engine.pump();
        // The host's error, or the reason of the app's own signal.
        throw signal?.aborted ? signal.reason : thrown;
      },
    );
  }

  /**
   * @param {number} id
   * @param {import("./call.js").Call} call
   * @param {any} input
   * @param {any} init
   * @returns {Promise<any>}
   */
  #enqueue(id, { signal }, input, init) {
    const engine = this.#engine;
    // The app's getters run here and may call the client, which must not start a request that is not in the map yet.
    const snapshot = engine.quietly(() => snapshotOf(input, init));
    if (!snapshot) {
      engine.abort(id);
      // The host reports what is wrong with arguments that cannot be copied.
      return pass(this.#fetch, input, init);
    }
    return new Promise((resolve, reject) => {
      const giveUp = () => this.#abort(id, signal.reason);
      this.#waiting.set(id, { snapshot, resolve, reject, signal, giveUp });
      signal?.addEventListener?.("abort", giveUp);
      // One of the getters may have aborted it.
      if (signal?.aborted) giveUp();
    });
  }

  /**
   * @param {number} id
   * @param {unknown} reason
   */
  #abort(id, reason) {
    const waiting = this.#take(id);
    if (!waiting) return;
    waiting.snapshot.cancel(reason);
    waiting.reject(reason);
    this.#engine.abort(id);
    this.#engine.pump();
  }

  /** @param {number} id */
  #take(id) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.signal?.removeEventListener?.("abort", waiting.giveUp);
    return waiting;
  }

  /** @param {number} id */
  #pass(id) {
    const waiting = this.#take(id);
    const sent = waiting && pass(this.#fetch, ...waiting.snapshot.arguments());
    waiting?.resolve(sent);
    return sent;
  }

  /**
   * @param {number} id
   * @param {any} answer
   */
  #fulfilled(id, answer) {
    const engine = this.#engine;
    const { status, config } = headOf(answer);
    const now = performance.now();
    let outcome = Outcome.success;
    if (config === null) {
      // A gateway in front of the server did not reach it.
      if (status === 502 || status === 504) outcome = Outcome.failure;
      else if (status >= 200 && status < 300) engine.learn(News.headerMissing, now);
    } else if (config !== undefined && !isCached(answer)) {
      // The leader must know the limits that it divides: a header that is news to one tab is news to all.
      if (engine.learn(config, now) === Learned.applied) this.#relay(config);
      if (!this.#heedsOthers && (status === 429 || status === 503)) void this.heed(answer);
    }
    engine.complete(id, outcome, now);
    engine.pump(now);
  }

  /** Rejects with the reason of the last rejection. */
  async #rejected() {
    throw rejectionOf(...this.#engine.rejection());
  }
}

/**
 * @param {any} input
 * @param {any} init
 */
function snapshotOf(input, init) {
  try {
    return new Snapshot(input, init);
  } catch {
    return undefined;
  }
}
