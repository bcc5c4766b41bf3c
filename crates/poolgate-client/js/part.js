// @ts-check
// The part of the budget that is this tab's: what its client has to do, and what it may use.

/** @typedef {import("./core.js").Core} Core */
/** @typedef {ReturnType<typeof partOf>} Part */

/** @param {Core} core */
export function partOf(core) {
  const part = {
    inFlight: 0,
    queued: 0,
    /** The slots of all together; 0: nothing limits. */
    limit: 0,
    /** Requests since somebody has looked at it, and all. */
    made: 0,
    total: 0,
    /** Slots that it wants, as the others were told. */
    want: 0,
    /** The client is at it: what it says meanwhile is no news. */
    busy: false,
    /**
     * What the client says.
     * @param {number} inFlight
     * @param {number} queued
     * @param {number} limit
     * @param {number} made since it last said so
     */
    note(inFlight, queued, limit, made) {
      Object.assign(part, { inFlight, queued, limit, made: part.made + made, total: part.total + made });
    },
    /** Asks the client what it does now. */
    measure() {
      during(() => core.demand());
      return part;
    },
    /**
     * Uses so many slots of so many from now on, or with 0 for `of` all but `held`.
     * @param {number} held
     * @param {number} of
     * @param {number} tokens that come with them
     * @param {boolean} [owing] somebody waits for slots that requests in flight still hold
     * @returns {number} tokens that go to others
     */
    use: (held, of, tokens, owing = false) => during(() => core.share(held, of, tokens, owing)),
  };
  /** @template T @param {() => T} act */
  const during = (act) => {
    const { busy } = part;
    part.busy = true;
    const result = act();
    part.busy = busy;
    return result;
  };
  return part;
}
