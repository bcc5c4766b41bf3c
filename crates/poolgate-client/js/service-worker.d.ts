import type { ClientOptions } from "./index.js";

/**
 * Throttles every request of the pages that this service worker controls, without a change to them. Call it once, at the
 * top level of the worker's script, which must be a module. A page with a client of its own is passed through.
 */
export function throttleApp(options?: ThrottleAppOptions): void;

export interface ThrottleAppOptions extends ClientOptions {
  /**
   * Which methods are throttled. Default `["GET", "HEAD"]`: when a browser stops a worker it sends requests in flight again,
   * those that change something included.
   */
  methods?: string[];
  /**
   * Which `Request.destination`s are throttled. Default `[""]`: what scripts request; documents, scripts, styles, images
   * and fonts pass. A navigation passes in any case.
   */
  destinations?: RequestDestination[];
}
