// @ts-check
// Names the routes that other limiters than the gate limit: an origin and a path each. The module keeps their limits.

import { urlOf } from "../requests/scope.js";

/** The largest prime below 2^44: a step of the hash stays below 2^53, so it is exact. */
const PRIME = 17_592_186_044_399;

/**
 * The number of a request's route. Only numbers cross to the module, so it is a hash of the text: of the hundred routes that
 * the module remembers, two have the same number once in some billion pages.
 * @param {unknown} input
 */
export function routeOf(input) {
  const url = urlOf(input);
  const name = url ? url.origin + url.pathname : "";
  let hash = 0;
  for (let at = 0; at < name.length; at += 1) hash = (hash * 257 + name.charCodeAt(at)) % PRIME;
  return hash;
}
