// @ts-check
// The page's own `fetch`, looked up for each call: whoever patches it later, as tracers, mocks and tests do, is asked too.
//
// The patch may be this very client, or lead back to it. So the first calls through a function that is new are watched: if one
// comes back here meanwhile, with the same address, that function is passed over from then on.

/** @param {any} input */
const addressOf = (input) => String(input?.url ?? input);

/** @typedef {ReturnType<typeof bareFetch>} Host */

export function bareFetch() {
  const first = globalThis.fetch;
  const proven = new WeakSet([first]);
  const leadBack = new WeakSet();
  /** Calls on their way through a function that is new, and that function. @type {Map<string, typeof fetch>} */
  const watched = new Map();

  return {
    /** @type {(input: any, init?: any) => any} */
    fetch(...args) {
      const { fetch } = globalThis;
      if (typeof fetch !== "function" || leadBack.has(fetch)) return Reflect.apply(first, undefined, args);
      // As a function and not as a method: the browser's own wants no other `this`.
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
