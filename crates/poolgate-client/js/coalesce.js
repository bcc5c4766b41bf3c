// @ts-check
// Identical GETs in flight share one request. Each caller gets a Response of its own and may give up by itself: the request
// ends when all have.

import { signalOf } from "./call.js";
import { MEMBERS } from "./snapshot.js";
import { isRequest } from "./values.js";

/** Members of `init` whose meaning is known; with any other a request is not shared. */
const KNOWN = new Set([...MEMBERS, "poolgate"]);

/**
 * @typedef {(input: any, init?: any) => Promise<Response>} Send
 * @typedef {object} Caller
 * @property {(response: Response) => void} resolve
 * @property {(reason: unknown) => void} reject
 * @property {AbortSignal | null | undefined} signal
 * @property {() => void} giveUp
 */

export class Coalescer {
  #send;
  /** @type {Map<string, Flight>} */
  #flights = new Map();

  /** @param {Send} send */
  constructor(send) {
    this.#send = send;
  }

  /**
   * @param {any} input
   * @param {any} [init]
   */
  fetch(input, init) {
    const request = sharable(input, init);
    // Whatever is wrong or ended before is said best by whoever says it otherwise.
    if (!request || request.signal.aborted) return this.#send(input, init);
    const key = keyOf(request, init);
    let flight = this.#flights.get(key);
    if (!flight) {
      flight = new Flight(() => this.#flights.get(key) === flight && this.#flights.delete(key));
      this.#flights.set(key, flight);
      flight.start(this.#send, request, init);
    }
    return flight.join(signalOf(input, init));
  }
}

/** One request and those who wait for it. */
class Flight {
  /** @type {Set<Caller>} */
  #callers = new Set();
  #controller = new AbortController();
  #landed;

  /** @param {() => void} landed nobody may join any more */
  constructor(landed) {
    this.#landed = landed;
  }

  /**
   * @param {Send} send
   * @param {Request} request
   * @param {any} init
   */
  start(send, request, init) {
    // With an init a Request forgets its referrer.
    const { referrer, referrerPolicy } = request;
    const { priority, poolgate } = init ?? {};
    const { signal } = this.#controller;
    send(request, { referrer, referrerPolicy, priority, poolgate, signal })
      .then((response) => this.#resolve(response))
      // A response that somebody has read already cannot be cloned: that fails for all, too.
      .catch((error) => this.#reject(error));
  }

  /**
   * @param {AbortSignal | null | undefined} signal
   * @returns {Promise<Response>}
   */
  join(signal) {
    return new Promise((resolve, reject) => {
      const caller = { resolve, reject, signal, giveUp: () => this.#giveUp(caller) };
      signal?.addEventListener("abort", caller.giveUp, { once: true });
      this.#callers.add(caller);
    });
  }

  /** @param {Response} response */
  #resolve(response) {
    this.#landed();
    // Before anybody reads.
    const [first, ...others] = [...this.#callers].map((_, index) => (index === 0 ? response : response.clone()));
    const responses = [...others, first];
    for (const caller of this.#callers) {
      const own = /** @type {Response} */ (responses.pop());
      // Who gives up from here on does so while the body comes: it ends when nobody wants it any more. There is no word of
      // its end, so the listener goes with the body.
      if (caller.signal) bodies.register(own.body ?? own, [new WeakRef(caller.signal), caller.giveUp]);
      caller.resolve(own);
    }
  }

  /** @param {unknown} error */
  #reject(error) {
    this.#landed();
    for (const { signal, giveUp, reject } of this.#callers) {
      signal?.removeEventListener("abort", giveUp);
      reject(error);
    }
  }

  /** @param {Caller} caller */
  #giveUp(caller) {
    const { reason } = /** @type {AbortSignal} */ (caller.signal);
    caller.reject(reason);
    this.#callers.delete(caller);
    if (this.#callers.size > 0) return;
    this.#landed();
    this.#controller.abort(reason);
  }
}

/** @type {FinalizationRegistry<[WeakRef<AbortSignal>, () => void]>} */
const bodies = new FinalizationRegistry(([signal, giveUp]) => signal.deref()?.removeEventListener("abort", giveUp));

/**
 * The request as it will be, if others may share it.
 * @param {any} input
 * @param {any} init
 */
function sharable(input, init) {
  try {
    const given = isRequest(input) ? input : undefined;
    const method = String(init?.method ?? given?.method ?? "GET").toUpperCase();
    const unknown = Object.keys(init ?? {}).some((name) => !KNOWN.has(name));
    if (method !== "GET" || unknown || init?.body != null || init?.poolgate?.bypass) return undefined;
    return new Request(input, init);
  } catch {
    return undefined;
  }
}

/**
 * @param {Request} request
 * @param {any} init
 */
function keyOf(request, init) {
  const { url, headers, mode, credentials, cache, redirect, referrer, referrerPolicy, integrity, keepalive } = request;
  const heads = [url, mode, credentials, cache, redirect, referrer, referrerPolicy, integrity, keepalive];
  return JSON.stringify([...heads, [...headers], init?.priority, init?.poolgate]);
}
