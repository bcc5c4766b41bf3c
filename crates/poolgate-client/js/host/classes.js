// @ts-check
// Recognizes values of the platform's classes, from any realm or library.

/**
 * @param {unknown} value
 * @returns {value is any}
 */
export const isObject = (value) => typeof value === "object" && value !== null;

/**
 * Whether a value is an instance of a platform class of any realm: one of the class's own members accepts it. The class may
 * be missing.
 * @param {string} type
 * @param {string} member a getter, or a method without side effects
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
 * Whether the platform accepts it as a `Request`.
 * @param {any} input
 * @returns {input is Request}
 */
export const isRequest = (input) => isA("Request", "url", input);

/**
 * Whether it is a request of another class, as libraries and polyfills have them. The app and its `fetch` agree on what it
 * means.
 * @param {any} input
 */
export const isForeignRequest = (input) =>
  isObject(input) && typeof input.url === "string" && typeof input.method === "string" && isObject(input.headers);
