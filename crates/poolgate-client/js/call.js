// @ts-check
// What a call of `fetch` says about its own place in the queue.

import { NORMAL, PRIORITIES } from "./codes.js";
import { QUEUE_TIMEOUT_MS, RETRIES } from "./options.js";
import { isForeignRequest, isObject, isRequest, whole, wrong } from "./values.js";

/**
 * @typedef {object} Call the part of the arguments that the throttle is told, and the signal that ends the wait
 * @property {number} priority
 * @property {boolean} bypass
 * @property {number | undefined} queueTimeoutMs
 * @property {number | undefined} retries
 * @property {any} signal the app's, of whichever class; or not there
 */

/**
 * Throws what the app's getters throw, or a `TypeError`.
 * @param {any} input
 * @param {any} init
 * @returns {Call}
 */
export function readCall(input, init) {
  const call = {
    priority: NORMAL,
    bypass: false,
    queueTimeoutMs: /** @type {number | undefined} */ (undefined),
    retries: /** @type {number | undefined} */ (undefined),
    signal: undefined,
  };
  if (isObject(init)) {
    const { priority, poolgate } = init;
    // Other words are fetch's to refuse.
    if (priority === "high" || priority === "low") call.priority = PRIORITIES.indexOf(priority);
    if (isObject(poolgate)) {
      const { bypass, queueTimeoutMs, retries, priority } = poolgate;
      call.bypass = Boolean(bypass);
      if (queueTimeoutMs !== undefined) {
        call.queueTimeoutMs = whole("`poolgate.queueTimeoutMs`", queueTimeoutMs, QUEUE_TIMEOUT_MS);
      }
      if (retries !== undefined) call.retries = whole("`poolgate.retries`", retries, RETRIES);
      if (priority !== undefined) {
        call.priority = PRIORITIES.indexOf(priority);
        if (call.priority < 0) {
          throw wrong('`poolgate.priority` must be one of "critical", "high", "normal", "low"');
        }
      }
    }
  }
  call.signal = signalOf(input, init);
  return call;
}

/**
 * The signal in force: that of `init`, else that of a `Request`.
 * @param {any} input
 * @param {any} init
 */
export function signalOf(input, init) {
  const signal = isObject(init) ? init.signal : undefined;
  // `null` takes the request's own signal away.
  if (signal !== undefined) return signal;
  return typeof input !== "string" && (isRequest(input) || isForeignRequest(input)) ? input.signal : undefined;
}
