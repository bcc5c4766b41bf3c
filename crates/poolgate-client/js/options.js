// @ts-check
// What the app chose, read and checked once.

import { isObject, warn, whole, wrong } from "./values.js";

/** @type {(keyof import("./index.js").ClientOptions)[]} */
const NAMES = [
  "baseUrl",
  "transport",
  "pollIntervalMs",
  "throttles",
  "maxQueue",
  "queueTimeoutMs",
  "onOpen",
  "shareAcrossTabs",
  "autoCleanup",
  "honourForeignLimits",
  "coalesce",
  "retries",
  "fetch",
  "wasm",
];

/** @type {("auto" | "sse" | "poll")[]} */
const MODES = ["auto", "sse", "poll"];
/** @type {[number, number]} */
export const QUEUE_TIMEOUT_MS = [0, 600_000];
/** @type {[number, number]} */
export const RETRIES = [0, 5];

/**
 * @typedef {ReturnType<typeof readOptions>} Options
 */

/**
 * Throws a `TypeError` that names the option that is wrong.
 * @param {any} given
 * @param {boolean} shared whether this client acts as one with others of its browser
 */
export function readOptions(given, shared) {
  if (given != null && !isObject(given)) throw wrong("options must be an object");
  given ??= {};
  for (const name of Object.keys(given)) {
    if (!(/** @type {string[]} */ (NAMES).includes(name))) {
      warn(`option \`${name}\` is not known to this version and has no effect`);
    }
  }

  const number = (/** @type {string} */ name, /** @type {[number, number]} */ range, /** @type {number} */ fallback) =>
    given[name] === undefined ? fallback : whole(`option \`${name}\``, given[name], range);
  const flag = (/** @type {string} */ name, /** @type {boolean} */ fallback) => {
    const value = given[name] === undefined ? fallback : given[name];
    if (typeof value !== "boolean") throw wrong(`option \`${name}\` must be true or false`);
    return value;
  };
  const fn = (/** @type {string} */ name) => {
    const value = given[name];
    if (value !== undefined && typeof value !== "function") throw wrong(`option \`${name}\` must be a function`);
    return value;
  };
  const choice = (/** @type {string} */ name, /** @type {string[]} */ words) => {
    const at = given[name] === undefined ? 0 : words.indexOf(given[name]);
    if (at < 0) throw wrong(`option \`${name}\` must be one of ${words.map((word) => `"${word}"`).join(", ")}`);
    return at;
  };

  const mode = MODES[choice("transport", MODES)];
  // As many streams as tabs would use up the browser's connections.
  const alone = flag("shareAcrossTabs", true) && !shared;
  flag("coalesce", false);
  return {
    ...readBase(given.baseUrl),
    mode: alone && mode === "auto" ? "poll" : mode,
    pollIntervalMs: number("pollIntervalMs", [1_000, 3_600_000], 30_000),
    /** @type {((url: URL) => boolean) | undefined} */
    throttles: fn("throttles"),
    maxQueue: number("maxQueue", [0, 10_000], 256),
    queueTimeoutMs: number("queueTimeoutMs", QUEUE_TIMEOUT_MS, 10_000),
    responds: choice("onOpen", ["reject", "respond"]) > 0,
    autoCleanup: flag("autoCleanup", true),
    honourForeignLimits: flag("honourForeignLimits", false),
    retries: number("retries", RETRIES, 0),
    /** @type {typeof fetch} */
    fetch: fn("fetch") ?? hostFetch(),
  };
}

/** Where the Poolgate server is. @param {unknown} given */
function readBase(given) {
  let url;
  try {
    url = new URL(/** @type {any} */ (given === undefined ? globalThis.location?.origin : given));
  } catch {
    throw wrong("option `baseUrl` must be an absolute URL, and is required where there is no page");
  }
  const { origin } = url;
  if (origin === "null") throw wrong("option `baseUrl` must have an origin, such as https://example.com");
  const path = url.pathname.replace(/\/+$/, "");
  return {
    origin,
    /** Address without query and without the slash at its end. */
    base: origin + path,
    /** What the paths of the health API begin with. */
    healthPrefix: `${path}/api/v1/health/`,
  };
}

function hostFetch() {
  if (typeof globalThis.fetch !== "function") throw wrong("option `fetch` is needed here: there is none");
  return globalThis.fetch;
}
