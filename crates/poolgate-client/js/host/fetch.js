// @ts-check
// The page's own `fetch`, looked up for each call, so that a later patch (a tracer, a mock, a test) is used too.
//
// The patch may be this very client, or call it. So the first calls through a new function are watched: if one of them
// arrives here again with the same address, that function is bypassed from then on.

/** @param {any} input */
const addressOf = (input) => String(input?.url ?? input);

/** @typedef {ReturnType<typeof bareFetch>} Host */

export function bareFetch() {
  const first = globalThis.fetch;
  const proven = new WeakSet([first]);
  const leadBack = new WeakSet();
  /** The function that a call in flight goes through, while that function is new. @type {Map<string, typeof fetch>} */
  const watched = new Map();

  return {
    /** @type {(input: any, init?: any) => any} */
    fetch(...args) {
      const { fetch } = globalThis;
      if (typeof fetch !== "function" || leadBack.has(fetch)) return Reflect.apply(first, undefined, args);
      // As a function and not as a method: the browser's own accepts no other `this`.
      if (proven.has(fetch)) return fetch(...args);
      const address = addressOf(args[0]);
      watched.set(address, fetch);
      const over = () => {
        watched.delete(address);
        if (!leadBack.has(fetch)) proven.add(fetch);
      };
      try {
        const answer = fetch(...args);
        Promise.resolve(answer).then(over, over);
        return answer;
      } catch (thrown) {
        over();
        throw thrown;
      }
    },
    /**
     * Whether this call is one of the client's own that has come back.
     * @param {any} input
     */
    hasComeBack(input) {
      const fetch = watched.size > 0 && watched.get(addressOf(input));
      if (fetch) leadBack.add(fetch);
      return Boolean(fetch);
    },
  };
}

/**
 * Calls the host's fetch, past the throttle. Never throws: an exception becomes a rejection.
 * @param {typeof globalThis.fetch} fetch
 * @param {any} input
 * @param {any} init
 * @returns {Promise<any>}
 */
export function pass(fetch, input, init) {
  try {
    return Promise.resolve(fetch(input, init));
  } catch (thrown) {
    return Promise.reject(thrown);
  }
}
