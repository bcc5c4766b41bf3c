// @ts-check
// This tab's part of the budget: what its client has to do, and which slots it may use.

/**
 * @typedef {object} Client what the tabs need of a client
 * @property {(leads: boolean) => void} lead
 * @property {(news: unknown) => void} hear
 * @property {() => void} demand
 * @property {(held: number, of: number, tokens: number, owing: boolean) => number} share
 * @property {unknown} document
 * @property {number} queued
 */

/** @typedef {ReturnType<typeof partOf>} Part */

/** @param {Client} client */
export function partOf(client) {
  const part = {
    inFlight: 0,
    queued: 0,
    /** Slots for all tabs together; 0: no limit. */
    limit: 0,
    /** Requests since a follower looked last, and requests in total. */
    made: 0,
    total: 0,
    /** The number of wanted slots that the others were told. */
    want: 0,
    /** A call of the client is running; demand that it reports meanwhile is ignored. */
    busy: false,
    /**
     * Takes in the client's demand.
     * @param {number} inFlight
     * @param {number} queued
     * @param {number} limit
     * @param {number} made requests since the last report
     */
    note(inFlight, queued, limit, made) {
      Object.assign(part, { inFlight, queued, limit, made: part.made + made, total: part.total + made });
    },
    /** Asks the client for its demand now. */
    measure() {
      during(() => client.demand());
      return part;
    },
    /**
     * Uses `held` of `of` slots from now on; with 0 for `of`, all slots but `held`.
     * @param {number} held
     * @param {number} of
     * @param {number} tokens that come with them
     * @param {boolean} [owing] another tab waits for slots that requests in flight still hold
     * @returns {number} tokens that go to others
     */
    use: (held, of, tokens, owing = false) => during(() => client.share(held, of, tokens, owing)),
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
