// @ts-check
// The app's options, read and checked once.

import { HEALTH_PREFIX, POLL_MS } from "../contract.js";
import { isObject } from "../host/classes.js";
import { warn } from "../host/console.js";
import { QUEUE_TIMEOUT_MS, RETRIES, whole, wrong } from "../requests/call.js";

/**
 * @typedef {ReturnType<typeof readOptions>} Options
 */

/**
 * Throws a `TypeError` that names the wrong option.
 * @param {any} given
 * @param {boolean} shared whether all tabs of this browser act as one client
 * @param {typeof fetch} host the default of the option `fetch`
 */
export function readOptions(given, shared, host) {
  if (given != null && !isObject(given)) throw wrong("options must be an object");
  given ??= {};
  /** @type {unknown[]} */
  const known = [];
  const take = (/** @type {keyof import("../index.js").ClientOptions} */ name, /** @type {any} */ fallback = undefined) => {
    known.push(name);
    const { [name]: value = fallback } = given;
    return value;
  };
  const number = (/** @type {Parameters<typeof take>[0]} */ name, /** @type {[number, number]} */ range, /** @type {number} */ fallback) =>
    whole(`option \`${name}\``, take(name, fallback), range);
  const flag = (/** @type {Parameters<typeof take>[0]} */ name, /** @type {boolean} */ fallback) => {
    const value = take(name, fallback);
    if (typeof value !== "boolean") throw wrong(`option \`${name}\` must be true or false`);
    return value;
  };
  const fn = (/** @type {Parameters<typeof take>[0]} */ name, /** @type {any} */ fallback = undefined) => {
    const value = take(name, fallback);
    if (value !== undefined && typeof value !== "function") throw wrong(`option \`${name}\` must be a function`);
    return value;
  };
  /** The first word is the default. */
  const choice = (/** @type {Parameters<typeof take>[0]} */ name, /** @type {any[]} */ words) => {
    const word = take(name, words[0]);
    if (!words.includes(word)) {
      throw wrong(`option \`${name}\` must be one of ${words.map((word) => `"${word}"`).join(", ")}`);
    }
    return word;
  };

  /** @type {"auto" | "sse" | "poll"} */
  const mode = choice("transport", ["auto", "sse", "poll"]);
  const [onReject, onOpen] = /** @type {const} */ (["onReject", "onOpen"]).map((name) => choice(name, ["reject", "respond"]) === "respond");
  // A stream for each tab would use up the browser's connections.
  const alone = flag("shareAcrossTabs", true) && !shared;
  flag("coalesce", false);
  // The client loads the module.
  take("wasm");
  const options = {
    ...readBase(take("baseUrl")),
    mode: alone && mode === "auto" ? "poll" : mode,
    pollIntervalMs: number("pollIntervalMs", [1_000, 3_600_000], POLL_MS),
    /** @type {((url: URL) => boolean) | undefined} */
    throttles: fn("throttles"),
    maxQueue: number("maxQueue", [0, 10_000], 256),
    queueTimeoutMs: number("queueTimeoutMs", QUEUE_TIMEOUT_MS, 10_000),
    responds: onReject ? "always" : onOpen ? "open" : "",
    /** @type {RequestCredentials} */
    credentials: choice("credentials", ["same-origin", "omit", "include"]),
    autoCleanup: flag("autoCleanup", true),
    honourForeignLimits: flag("honourForeignLimits", false),
    retries: number("retries", RETRIES, 0),
    /** @type {typeof fetch} */
    fetch: fn("fetch", host),
  };
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) warn(`option \`${name}\` is not known to this version and has no effect`);
  }
  return options;
}

/**
 * Where the Poolgate server is. Empty if the app does not say and there is no page with an origin.
 * @param {unknown} given
 */
function readBase(given) {
  let url;
  const origin = globalThis.location?.origin ?? "null";
  if (given === undefined && !origin.startsWith("http")) return { origin: "", base: "", healthPrefix: "" };
  try {
    url = new URL(/** @type {any} */ (given === undefined ? origin : given));
  } catch {
    throw wrong("option `baseUrl` must be an absolute URL");
  }
  if (url.origin === "null") throw wrong("option `baseUrl` must have an origin, such as https://example.com");
  const path = url.pathname.replace(/\/+$/, "");
  return {
    origin: url.origin,
    /** Address without a query and without a slash at its end. */
    base: url.origin + path,
    /** Prefix of the health API's paths. */
    healthPrefix: path + HEALTH_PREFIX,
  };
}
