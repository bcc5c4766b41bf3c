// @ts-check
// Identical GETs in flight share one request. Each caller gets a Response of its own and may abort its call; the request is
// aborted when all callers have.

import { isRequest } from "../host/classes.js";
import { signalOf } from "../requests/call.js";
import { MEMBERS } from "../requests/snapshot.js";

/** Known members of `init`; a request with any other one is not shared. */
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
    // Invalid or already aborted calls take the normal path and get its error.
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

/** One request and its callers. */
class Flight {
  /** @type {Set<Caller>} */
  #callers = new Set();
  #controller = new AbortController();
  #landed;

  /** @param {() => void} landed called when no caller may join any more */
  constructor(landed) {
    this.#landed = landed;
  }

  /**
   * @param {Send} send
   * @param {Request} request
   * @param {any} init
   */
  start(send, request, init) {
    // A Request that is passed with an `init` loses its referrer.
    const { referrer, referrerPolicy } = request;
    const { priority, poolgate } = init ?? {};
    const { signal } = this.#controller;
    send(request, { referrer, referrerPolicy, priority, poolgate, signal })
      .then((response) => this.#resolve(response))
      // A response that was read already cannot be cloned: then all callers fail.
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
    // Cloned before a caller reads.
    const [first, ...others] = [...this.#callers].map((_, index) => (index === 0 ? response : response.clone()));
    const responses = [...others, first];
    for (const caller of this.#callers) {
      const own = /** @type {Response} */ (responses.pop());
      // A caller that aborts from here on aborts while the body arrives. The end of a body is not announced, so the listener is
      // removed when the body is collected.
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
 * The request as it will be sent; `undefined` if it must not be shared.
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
