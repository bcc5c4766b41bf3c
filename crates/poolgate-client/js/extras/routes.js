// @ts-check
// Names the routes that other limiters than the gate limit: an origin and a path each. The module keeps their limits.

import { urlOf } from "../requests/scope.js";

/**
 * A number for a request's route, below 2^53. Only numbers cross to the module, so it is a hash (cyrb53): two of the
 * hundred routes that the module remembers have the same number once in a trillion pages.
 * @param {unknown} input
 */
export function routeOf(input) {
  const url = urlOf(input);
  const name = url ? url.origin + url.pathname : "";
  let [high, low] = [0xdeadbeef, 0x41c6ce57];
  for (let at = 0; at < name.length; at += 1) {
    const character = name.charCodeAt(at);
    high = Math.imul(high ^ character, 2_654_435_761);
    low = Math.imul(low ^ character, 1_597_334_677);
  }
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  return (low & 0x1f_ffff) * 2 ** 32 + (high >>> 0);
}
