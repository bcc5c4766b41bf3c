// @ts-check
// The errors of this library. Network failures stay the platform's own TypeError, and an aborted call is rejected with the
// signal's reason.

// Every copy of this file in every realm uses the same mark.
const MARK = Symbol.for("@poolgate/client:error");

export class PoolgateError extends Error {
  /**
   * @param {string} code stable and machine-readable
   * @param {string} message
   * @param {number | null} [retryAfterMs] when another attempt may succeed
   */
  constructor(code, message, retryAfterMs) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs ?? null;
  }
}

/** The database does not answer, so requests are held back until it does. */
export class CircuitOpenError extends PoolgateError {}

/** The queue is full. */
export class QueueFullError extends PoolgateError {}

/** The request waited for its longest time. */
export class QueueTimeoutError extends PoolgateError {}

/** The client was closed while the request waited. */
export class ClientClosedError extends PoolgateError {}

// Written out, because a minifier renames classes.
Object.defineProperty(PoolgateError.prototype, MARK, { value: true });
for (const [type, name] of /** @type {const} */ ([
  [PoolgateError, "PoolgateError"],
  [CircuitOpenError, "CircuitOpenError"],
  [QueueFullError, "QueueFullError"],
  [QueueTimeoutError, "QueueTimeoutError"],
  [ClientClosedError, "ClientClosedError"],
])) {
  Object.defineProperty(type.prototype, "name", { value: name, configurable: true, writable: true });
}

/**
 * Whether a value is an error of this library, from any copy of it and any realm.
 * @param {unknown} value
 * @returns {value is PoolgateError}
 */
export function isPoolgateError(value) {
  return typeof value === "object" && value !== null && /** @type {any} */ (value)[MARK] === true;
}
