import type { ClientOptions } from "./index.js";

/**
 * Throttles the requests of all pages that this service worker controls, without a change to the pages. Call it once, at the
 * top level of the worker's script, which must be a module. Requests of a page with a client of its own pass through.
 */
export function throttleApp(options?: ThrottleAppOptions): void;

export interface ThrottleAppOptions extends ClientOptions {
  /**
   * Which methods are throttled. Default `["GET", "HEAD"]`: a browser that stops a worker sends its requests in flight again,
   * also those that change data.
   */
  methods?: string[];
  /**
   * Which `Request.destination`s are throttled. Default `[""]`: requests of scripts; documents, scripts, styles, images and
   * fonts pass. A navigation always passes.
   */
  destinations?: RequestDestination[];
}
