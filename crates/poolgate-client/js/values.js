// @ts-check
// Values that an app or a server brings, of whatever type.

/**
 * @param {unknown} value
 * @returns {value is any}
 */
export const isObject = (value) => typeof value === "object" && value !== null;

/**
 * Whether a value is of one of the platform's classes, of whichever realm: the class's own members tell. There may be no such
 * class.
 * @param {string} type
 * @param {string} member that only reads
 * @param {any} value
 * @returns {boolean}
 */
export function isA(type, member, value) {
  if (!isObject(value)) return false;
  try {
    const Type = /** @type {any} */ (globalThis)[type];
    if (value instanceof Type) return true;
    const { get, value: method } = /** @type {any} */ (Object.getOwnPropertyDescriptor(Type.prototype, member));
    (get ?? method).call(value, "");
    return true;
  } catch {
    return false;
  }
}

/**
 * Whether the platform takes it for a `Request`.
 * @param {any} input
 * @returns {input is Request}
 */
export const isRequest = (input) => isA("Request", "url", input);

/**
 * Whether it is a request of another class, of a library or a polyfill: what the host's fetch makes of it is between the two.
 * @param {any} input
 */
export const isForeignRequest = (input) =>
  isObject(input) && typeof input.url === "string" && typeof input.method === "string" && isObject(input.headers);

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
