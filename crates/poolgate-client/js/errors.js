// @ts-check
// What a throttled request is rejected with. Network failures stay the platform's own TypeError, and an abort is
// rejected with the signal's reason.

// Shared by every copy of this module in every realm.
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

/** The database does not answer; requests are held back until it does. */
export class CircuitOpenError extends PoolgateError {}

/** As many requests wait as may wait. */
export class QueueFullError extends PoolgateError {}

/** The request waited as long as it may. */
export class QueueTimeoutError extends PoolgateError {}

/** The client was closed while the request waited. */
export class ClientClosedError extends PoolgateError {}

// On the prototypes and written out: a minifier renames classes.
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
 * Whether a value is an error of this library, of whichever copy or realm.
 * @param {unknown} value
 * @returns {value is PoolgateError}
 */
export function isPoolgateError(value) {
  return typeof value === "object" && value !== null && /** @type {any} */ (value)[MARK] === true;
}
