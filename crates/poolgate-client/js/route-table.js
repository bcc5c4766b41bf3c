// @ts-check
// What other limiters than the gate say about single routes: an origin and a path each. The module keeps their limits under
// numbers, which are given here.

import { urlOf } from "./scope.js";

/** More than the module remembers; a route that is forgotten gets another number. */
const MOST_ROUTES = 1000;

export class RouteTable {
  #throttle;
  /** @type {Map<string, number>} */
  #numbers = new Map();
  #last = 0;

  /** @param {import("./poolgate_client.js").Throttle} throttle */
  constructor(throttle) {
    this.#throttle = throttle;
  }

  /**
   * The number of a request's route.
   * @param {unknown} input
   */
  routeOf(input) {
    const url = urlOf(input);
    const name = url ? url.origin + url.pathname : "";
    const number = this.#numbers.get(name) ?? (this.#last += 1);
    // The one that was asked for the longest ago goes first.
    this.#numbers.delete(name);
    this.#numbers.set(name, number);
    for (const [first] of this.#numbers) {
      if (this.#numbers.size <= MOST_ROUTES) break;
      this.#numbers.delete(first);
    }
    return number;
  }

  /**
   * When to ask again whether a request may start; infinitely: it may, and counts.
   * @param {number | undefined} route
   */
  admit(route = 0) {
    return this.#throttle.admit(route, performance.now());
  }

  /**
   * Takes in what a response said.
   * @param {number | undefined} route
   * @param {{ retryAfterMs?: number, quota?: import("./rate-limit.js").Quota }} wishes
   */
  learn(route = 0, { retryAfterMs, quota }) {
    this.#throttle.learn_route(route, retryAfterMs ?? NaN, quota?.remaining ?? NaN, quota?.reset ?? 0, performance.now());
  }
}
