// @ts-check
// The error class of each code.

import { CircuitOpenError, ClientClosedError, PoolgateError, QueueFullError, QueueTimeoutError } from "./errors.js";

const CLASSES = {
  circuit_open: CircuitOpenError,
  queue_full: QueueFullError,
  queue_timeout: QueueTimeoutError,
  client_closed: ClientClosedError,
};

/**
 * @param {string} code
 * @param {string} message
 * @param {number | null} [retryAfterMs]
 */
export function errorOf(code, message, retryAfterMs) {
  const Type = Object.hasOwn(CLASSES, code) ? CLASSES[/** @type {keyof typeof CLASSES} */ (code)] : PoolgateError;
  return new Type(code, message, retryAfterMs);
}
