// @ts-check
// Reads the options of one call of `fetch`.

import { NORMAL, PRIORITIES } from "../contract.js";
import { isWhole } from "../engine/config.js";
import { isForeignRequest, isObject, isRequest } from "../host/classes.js";

/** @type {[number, number]} */
export const QUEUE_TIMEOUT_MS = [0, 600_000];
/** @type {[number, number]} */
export const RETRIES = [0, 5];

/**
 * @typedef {object} Call the arguments that the throttle needs, and the signal that ends the wait
 * @property {number} priority
 * @property {boolean} bypass
 * @property {number | undefined} queueTimeoutMs
 * @property {number | undefined} retries
 * @property {any} signal the app's, of any class; or none
 */

/**
 * Throws a `TypeError`, or what a getter of the app throws.
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
    // The host's fetch refuses other words.
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
  // `null` removes the request's own signal.
  if (signal !== undefined) return signal;
  return typeof input !== "string" && (isRequest(input) || isForeignRequest(input)) ? input.signal : undefined;
}

/**
 * The error that the platform throws for a wrong argument.
 * @param {string} message
 */
export const wrong = (message) => new TypeError(`poolgate: ${message}`);

/**
 * Checks a whole number from the app.
 * @param {string} what
 * @param {unknown} value
 * @param {[number, number]} range
 * @returns {number}
 */
export function whole(what, value, [least, most]) {
  if (!isWhole(value, least, most)) throw wrong(`${what} must be a whole number from ${least} to ${most}`);
  return value;
}
