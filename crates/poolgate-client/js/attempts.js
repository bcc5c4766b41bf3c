// @ts-check
// Calls that take their time: before an attempt they wait until their route is free (`honourForeignLimits`), after one that
// failed they may have another (`retries`). Without either option no call comes here.

import { retryAfterOf, statusOf } from "./answer.js";
import { Detail, Reason } from "./codes.js";
import { isPoolgateError } from "./errors.js";
import { RouteTable } from "./route-table.js";
import { rejectionOf } from "./requests.js";
import { Snapshot, cancelBody } from "./snapshot.js";

const MAY_BE_TRIED_AGAIN = [429, 502, 503, 504];

/**
 * @typedef {object} Nap a wait
 * @property {(leaving: boolean) => void} end
 * @property {(reason: unknown) => void} fail
 * @property {boolean} keepalive
 */

export class Attempts {
  /** Where the limits of others count. */
  routes;
  #core;
  #requests;
  /** @type {Set<Nap>} */
  #naps = new Set();

  /**
   * @param {import("./core.js").Core} core
   * @param {import("./requests.js").Requests} requests
   */
  constructor(core, requests) {
    this.#core = core;
    this.#requests = requests;
    this.routes = core.options.honourForeignLimits ? new RouteTable(core.throttle) : undefined;
  }

  /** Calls that wait here. */
  get waiting() {
    return this.#naps.size;
  }

  /**
   * Makes a call, in as many attempts as it takes.
   * @param {import("./call.js").Call} call
   * @param {any} input
   * @param {any} init
   * @param {boolean} counts the throttle decides about it
   * @param {number} left how often it may be tried again
   * @returns {Promise<any>}
   */
  async make(call, input, init, counts, left) {
    const core = this.#core;
    const route = this.routes?.routeOf(input);
    let snapshot;
    try {
      snapshot = new Snapshot(input, init);
    } catch {
      // The host says best what is wrong.
      return core.pass(input, init);
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
      const isThrottled = counts && !core.closed;
      const sent = isThrottled
        ? this.#requests.submit({ ...call, queueTimeoutMs, bypass }, ...args)
        : core.pass(...args);
      /** @type {{ answer?: any, thrown?: unknown }} */
      let ended;
      try {
        const answer = await sent;
        ended = { answer };
        if (this.routes) void this.#requests.heed(answer, (wishes) => core.safely(() => this.routes?.learn(route, wishes)));
      } catch (thrown) {
        ended = { thrown };
      }
      const wait = left > 0 ? this.#waitForRetry(call, ended, backoff) : Infinity;
      if (wait === Infinity) return sent;
      left -= 1;
      backoff = core.throttle.detail(Detail.subject);
      notBefore = performance.now() + wait;
      // Nobody will read it: its connection is free for others.
      cancelBody(ended.answer);
    }
  }

  /** The page is left: what may outlive it starts now, or would never. */
  startKeepalive() {
    for (const nap of this.#naps) if (nap.keepalive) nap.end(true);
  }

  /** The module does not work any more: nobody waits. */
  passAll() {
    for (const nap of this.#naps) nap.end(true);
  }

  /** The client is closed: nobody waits any more. */
  end() {
    for (const nap of this.#naps) nap.fail(rejectionOf(Reason.closed));
  }

  /**
   * Waits until then, and until the route is free, as long as the call may wait at all; gives what it may still wait for its
   * turn.
   * @param {import("./call.js").Call} call
   * @param {Snapshot} snapshot
   * @param {number | undefined} route
   * @param {number | undefined} notBefore
   */
  async #wait(call, snapshot, route, notBefore) {
    const core = this.#core;
    const { maxQueue } = core.options;
    const { bypass, signal } = call;
    const deadline = (notBefore ?? performance.now()) + (call.queueTimeoutMs ?? core.options.queueTimeoutMs);
    let { queueTimeoutMs } = call;
    const admit = () => (bypass || core.closed ? undefined : core.safely(() => this.routes?.admit(route))) ?? Infinity;
    for (let at = notBefore ?? admit(); at < Infinity; at = admit()) {
      const now = performance.now();
      const isFull = core.queued >= maxQueue;
      if (isFull || now >= deadline) throw rejectionOf(isFull ? Reason.full : Reason.timeout, Math.max(at - now, 0));
      if (await this.#nap(Math.min(at, deadline) - now, signal, snapshot.isKeepalive)) {
        return { queueTimeoutMs, bypass: true };
      }
      queueTimeoutMs = Math.max(deadline - performance.now(), 0);
    }
    return { queueTimeoutMs, bypass };
  }

  /**
   * Fulfilled with `true` where the page is left meanwhile; rejected with the reason of the call's signal, or because the
   * client is closed.
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
    this.#core.pump();
    return ended.finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener?.("abort", giveUp);
      this.#naps.delete(nap);
      this.#core.pump();
    });
  }

  /**
   * How long to wait before another attempt; infinitely: there is none.
   * @param {import("./call.js").Call} call
   * @param {{ answer?: any, thrown?: unknown }} ended
   * @param {number} backoff
   */
  #waitForRetry({ signal }, ended, backoff) {
    const core = this.#core;
    if (signal?.aborted || core.closed || core.queued >= core.options.maxQueue) return Infinity;
    const { answer, thrown } = ended;
    // An error of ours: nothing was sent, and the throttle has said when to return.
    const mayBeTried = "answer" in ended ? MAY_BE_TRIED_AGAIN.includes(statusOf(answer)) : !isPoolgateError(thrown);
    if (!mayBeTried) return Infinity;
    const asked = answer && retryAfterOf(answer);
    return core.safely(() => core.throttle.retry(backoff, asked ?? NaN, performance.now())) ?? Infinity;
  }
}
