// @ts-check
// Values that an app or a server brings, of whatever type.

/**
 * @param {unknown} value
 * @returns {value is any}
 */
export const isObject = (value) => typeof value === "object" && value !== null;

/**
 * Whether it is a `Request`; there may be no such class, where an app brings its own fetch.
 * @param {unknown} input
 * @returns {input is Request}
 */
export const isRequest = (input) => typeof Request === "function" && input instanceof Request;

/**
 * A whole number within the range.
 * @param {unknown} value
 * @param {number} least
 * @param {number} most
 * @returns {value is number}
 */
export const isWhole = (value, least, most) =>
  Number.isInteger(value) && Number(value) >= least && Number(value) <= most;

/**
 * What the platform throws for a wrong argument.
 * @param {string} message
 */
export const wrong = (message) => new TypeError(`poolgate: ${message}`);

/**
 * Whole numbers from an app.
 * @param {string} what
 * @param {unknown} value
 * @param {[number, number]} range
 * @returns {number}
 */
export function whole(what, value, [least, most]) {
  if (!isWhole(value, least, most)) throw wrong(`${what} must be a whole number from ${least} to ${most}`);
  return value;
}

/** From the host's generator: no two clients may draw the same jitter. */
export const seed = () => Math.floor(Math.random() * Number.MAX_SAFE_INTEGER);

/** Tells developers something on the console. @param {string} message */
export const warn = (message) => console.warn(`[poolgate] ${message}`);

/**
 * Somewhere where all tabs keep what must outlive a page; none in workers, and where it is forbidden.
 * @returns {Storage | undefined}
 */
export function storage() {
  try {
    return globalThis.localStorage ?? undefined;
  } catch {
    return undefined;
  }
}
