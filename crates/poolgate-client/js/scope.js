// @ts-check
// Which requests are throttled, and the address of each.

import { isForeignRequest, isRequest, warn } from "./values.js";

export class Scope {
  #origin;
  #healthPrefix;
  #throttles;
  #mayBePlain;
  // What tells of a text that it is an address which counts, whatever a parser would make of the rest of it: parsing costs
  // more than all the rest of a call.
  #relative;
  #absolute;
  /** The last base of relative addresses, and whether it is of the origin that counts. */
  #base = { address: /** @type {string | undefined} */ (undefined), counts: false };

  /** @param {import("./options.js").Options} options */
  constructor({ origin, healthPrefix, throttles }) {
    this.#origin = origin;
    this.#healthPrefix = healthPrefix;
    this.#throttles = throttles;
    // A text may have what is encoded in a URL.
    this.#mayBePlain = !throttles && !healthPrefix.includes("%");
    // A path that begins with one slash, without anything that a parser removes, decodes or resolves, and not of the health
    // API. Its query and fragment may be anything.
    const path = String.raw`(?!${quoted(healthPrefix)})/(?:[\w-](?:[^?#%\\\s/]|/(?!\.))*)?(?:[?#]|$)`;
    this.#relative = new RegExp(`^${path}`);
    this.#absolute = new RegExp(`^${quoted(origin)}${path}`);
  }

  /**
   * Whether a request counts; `undefined` where the host's fetch will refuse it, or asks no server.
   * @param {unknown} input
   */
  covers(input) {
    if (this.#mayBePlain && typeof input === "string" && this.#isPlain(input)) return true;
    const url = urlOf(input);
    if (!url) return undefined;
    // What is in memory asks no server, though the origin of a blob is the page's; and it may be gone a moment later.
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
 * The absolute address of a request; `undefined` where the host's fetch will refuse it.
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

/** What relative addresses are relative to; read each time, because `history.pushState` changes it. */
export function baseAddress() {
  // Node has neither: its fetch refuses relative addresses.
  return globalThis.document?.baseURI ?? globalThis.location?.href;
}

/** A pattern for this very text. @param {string} text */
const quoted = (text) => text.replace(/\W/g, "\\$&");
