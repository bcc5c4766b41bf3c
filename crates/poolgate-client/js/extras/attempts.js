// @ts-check
// Calls that may take several attempts (`retries`), or wait for their route before each (`honourForeignLimits`). Without
// these options no call comes here.

import { Reason } from "../contract.js";
import { pass } from "../host/fetch.js";
import { retryAfterOf, statusOf } from "../requests/answer.js";
import { isPoolgateError } from "../requests/errors.js";
import { rejectionOf } from "../requests/rejection.js";
import { Snapshot, cancelBody } from "../requests/snapshot.js";
import { routeOf } from "./routes.js";

const RETRIED_STATUSES = [429, 502, 503, 504];

/**
 * @typedef {object} Nap one wait
 * @property {(isLeaving: boolean) => void} end
 * @property {(reason: unknown) => void} fail
 * @property {boolean} keepalive
 */

export class Attempts {
  #engine;
  #options;
  #requests;
  /** @type {Set<Nap>} */
  #naps = new Set();

  /**
   * @param {import("../engine/engine.js").Engine} engine
   * @param {{ fetch: typeof globalThis.fetch, honourForeignLimits: boolean, maxQueue: number, queueTimeoutMs: number }} options
   * @param {import("../requests/requests.js").Requests} requests
   */
  constructor(engine, options, requests) {
    this.#engine = engine;
    this.#options = options;
    this.#requests = requests;
  }

  /** Calls that wait here. */
  get waiting() {
    return this.#naps.size;
  }

  /**
   * Makes a call, in as many attempts as it needs and may have.
   * @param {import("../requests/call.js").Call} call
   * @param {any} input
   * @param {any} init
   * @param {boolean} counts whether the throttle decides about it
   * @param {number} left how many retries it may have
   * @returns {Promise<any>}
   */
  async make(call, input, init, counts, left) {
    const engine = this.#engine;
    const { fetch, honourForeignLimits } = this.#options;
    const route = honourForeignLimits ? routeOf(input) : undefined;
    let snapshot;
    try {
      snapshot = new Snapshot(input, init);
    } catch {
      // The host reports what is wrong.
      return pass(fetch, input, init);
    }
    if (!snapshot.isRepeatable) left = 0;
    let backoff = 0;
    /** @type {number | undefined} */
    let notBefore;
    for (;;) {
      let { queueTimeoutMs, bypass } = call;
      try {
        ({ queueTimeoutMs, bypass } = await this.#wait(call, snapshot, route, notBefore));
      } catch (error) {
        if (!call.signal?.aborted) {
          snapshot.release();
          throw error;
        }
      }
      if (call.signal?.aborted) {
        snapshot.cancel(call.signal.reason);
        throw call.signal.reason;
      }
      const args = snapshot.arguments();
      const sent =
        counts && !engine.closed
          ? this.#requests.submit({ ...call, queueTimeoutMs, bypass }, ...args)
          : pass(fetch, ...args);
      /** @type {{ answer?: any, thrown?: unknown }} */
      let ended;
      try {
        const answer = await sent;
        ended = { answer };
        if (route !== undefined) void this.#requests.heed(answer, (wishes) => engine.learnRoute(route, wishes));
      } catch (thrown) {
        ended = { thrown };
      }
      const retry = left > 0 ? this.#retry(call, ended, backoff) : undefined;
      if (!retry || retry.wait === Infinity) return sent;
      left -= 1;
      backoff = retry.backoff;
      notBefore = performance.now() + retry.wait;
      // This answer will not be read: its connection is free for others.
      cancelBody(ended.answer);
    }
  }

  /** The page is left: starts calls that may outlive it. */
  startKeepalive() {
    for (const nap of this.#naps) if (nap.keepalive) nap.end(true);
  }

  /** The module does not work any more: starts all calls that wait. */
  passAll() {
    for (const nap of this.#naps) nap.end(true);
  }

  /** The client is closed: rejects all calls that wait. */
  end() {
    for (const nap of this.#naps) nap.fail(rejectionOf(Reason.closed));
  }

  /**
   * Waits until `notBefore` and until the route is free, within the call's longest wait. Resolves to what is left of that wait
   * for the throttle's queue.
   * @param {import("../requests/call.js").Call} call
   * @param {Snapshot} snapshot
   * @param {number | undefined} route
   * @param {number | undefined} notBefore
   */
  async #wait(call, snapshot, route, notBefore) {
    const engine = this.#engine;
    const { maxQueue } = this.#options;
    const { bypass, signal } = call;
    const deadline = (notBefore ?? performance.now()) + (call.queueTimeoutMs ?? this.#options.queueTimeoutMs);
    let { queueTimeoutMs } = call;
    const admit = () => (bypass || engine.closed || route === undefined ? Infinity : engine.admit(route));
    for (let at = notBefore ?? admit(); at < Infinity; at = admit()) {
      const now = performance.now();
      const isFull = this.#queued >= maxQueue;
      if (isFull || now >= deadline) throw rejectionOf(isFull ? Reason.full : Reason.timeout, Math.max(at - now, 0));
      if (await this.#nap(Math.min(at, deadline) - now, signal, snapshot.isKeepalive)) {
        return { queueTimeoutMs, bypass: true };
      }
      queueTimeoutMs = Math.max(deadline - performance.now(), 0);
    }
    return { queueTimeoutMs, bypass };
  }

  /**
   * Resolves to `true` if the call is to start now because the page is left; rejects with the reason of the call's signal, or
   * because the client is closed.
   * @param {number} milliseconds
   * @param {any} signal
   * @param {boolean} keepalive
   * @returns {Promise<boolean>}
   */
  #nap(milliseconds, signal, keepalive) {
    /** @type {() => void} */
    let giveUp;
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    /** @type {Nap} */
    let nap;
    const ended = new Promise((resolve, reject) => {
      nap = { end: resolve, fail: reject, keepalive };
      giveUp = () => reject(signal.reason);
      timer = setTimeout(() => resolve(false), Math.ceil(milliseconds));
      signal?.addEventListener?.("abort", giveUp);
      this.#naps.add(nap);
    });
    this.#engine.pump();
    return ended.finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener?.("abort", giveUp);
      this.#naps.delete(nap);
      this.#engine.pump();
    });
  }

  get #queued() {
    return this.#requests.queued + this.waiting;
  }

  /**
   * How long to wait before another attempt; `undefined`: this call gets none.
   * @param {import("../requests/call.js").Call} call
   * @param {{ answer?: any, thrown?: unknown }} ended
   * @param {number} backoff
   */
  #retry({ signal }, ended, backoff) {
    const engine = this.#engine;
    if (signal?.aborted || engine.closed || this.#queued >= this.#options.maxQueue) return undefined;
    const { answer, thrown } = ended;
    // After an error of this client nothing was sent, and the throttle has said when to return.
    const isRetried = "answer" in ended ? RETRIED_STATUSES.includes(statusOf(answer)) : !isPoolgateError(thrown);
    return isRetried ? engine.retry(backoff, answer && retryAfterOf(answer)) : undefined;
  }
}
