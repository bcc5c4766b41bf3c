// @ts-check
// Which requests are throttled, and the address of each.

import { isForeignRequest, isRequest } from "../host/classes.js";
import { warn } from "../host/console.js";

export class Scope {
  #origin;
  #healthPrefix;
  #throttles;
  #mayBePlain;
  // Patterns of addresses that are throttled for any rest of the address: parsing a URL costs more than all the
  // rest of a call.
  #relative;
  #absolute;
  /** The last base of relative addresses, and whether its origin is the throttled one. */
  #base = { address: /** @type {string | undefined} */ (undefined), counts: false };

  /** @param {Pick<import("../client/options.js").Options, "origin" | "healthPrefix" | "throttles">} options */
  constructor({ origin, healthPrefix, throttles }) {
    this.#origin = origin;
    this.#healthPrefix = healthPrefix;
    this.#throttles = throttles;
    // An address may have unencoded characters that a URL encodes.
    this.#mayBePlain = !throttles && !healthPrefix.includes("%");
    // A path outside of the health API that begins with one slash and has nothing that a parser removes, decodes or resolves,
    // with any query and fragment.
    const path = String.raw`(?!${quoted(healthPrefix)})/(?:[\w-](?:[^?#%\\\s/]|/(?!\.))*)?(?:[?#]|$)`;
    this.#relative = new RegExp(`^${path}`);
    this.#absolute = new RegExp(`^${quoted(origin)}${path}`);
  }

  /**
   * Whether a request is throttled; `undefined` if the host's fetch will refuse it or asks no server.
   * @param {unknown} input
   */
  covers(input) {
    if (this.#mayBePlain && typeof input === "string" && this.#isPlain(input)) return true;
    const url = urlOf(input);
    if (!url) return undefined;
    // A blob is in memory, though its origin is the page's; and its address may be revoked a moment later.
    if (!url.protocol.startsWith("http")) return undefined;
    if (!this.#throttles) return url.origin === this.#origin && !url.pathname.startsWith(this.#healthPrefix);
    try {
      return Boolean(this.#throttles(url));
    } catch {
      // The app's request must not fail because the app's predicate did.
      warn("option `throttles` threw; the request is not throttled");
      return false;
    }
  }

  /** @param {string} text */
  #isPlain(text) {
    if (!this.#relative.test(text)) return this.#absolute.test(text);
    const address = baseAddress();
    if (this.#base.address !== address) {
      const counts = address !== undefined && urlOf(address)?.origin === this.#origin;
      this.#base = { address, counts };
    }
    return this.#base.counts;
  }
}

/**
 * The absolute address of a request; `undefined` if the host's fetch will refuse it.
 * @param {any} input
 */
export function urlOf(input) {
  try {
    const isText = typeof input === "string" || input instanceof URL;
    return new URL(!isText && (isRequest(input) || isForeignRequest(input)) ? input.url : input, baseAddress());
  } catch {
    return undefined;
  }
}

/** The base of relative addresses; read each time, because `history.pushState` changes it. */
export function baseAddress() {
  // Node has neither: its fetch refuses relative addresses.
  return globalThis.document?.baseURI ?? globalThis.location?.href;
}

/** A pattern that matches exactly this text. @param {string} text */
const quoted = (text) => text.replace(/\W/g, "\\$&");
