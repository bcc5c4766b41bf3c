// @ts-check
// The leader has the event stream and owns the budget. It divides the slots among all tabs that want some, each with its part
// of the rate, and takes back the slots of tabs that are gone.

import { HIDDEN, rank } from "./rank.js";
import { divide } from "./slots.js";

/** How long a new leader waits for the members' reports. */
const ROLL_CALL_MS = 100;
/** How often the turn changes when there are fewer slots than members that want one. */
const TURN_MS = 500;

/**
 * @typedef {object} Member another tab, as the leader knows it
 * @property {number} want
 * @property {boolean} front
 * @property {number} held slots that it uses at most, by its last report or what it was given since
 * @property {number} allowed slots that it was last told
 * @property {number} seq of that message
 * @property {boolean} asks it waits for a `Share`
 * @property {boolean} present it has reported to this leader
 */

/**
 * @param {import("./part.js").Client} client
 * @param {import("./part.js").Part} part
 * @param {(message: object) => void} post
 * @param {string} lifelines prefix of the members' locks
 * @param {string} self this tab's id
 * @returns {import("./protocol.js").Role}
 */
export function lead(client, part, post, lifelines, self) {
  /** Distinguishes this leader from earlier ones. */
  const term = Math.random().toString(36).slice(2);
  const reign = new AbortController();
  const { signal } = reign;
  /** @type {Map<string, Member>} */
  const members = new Map();
  let counting = true;
  /** Slots that are due to members but still in use elsewhere, and the tokens that will go with them. */
  let owed = 0;
  let purse = 0;
  let turn = 0;
  /** @type {unknown} the budget, if this is a worker and cannot store it */
  let savings;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let tick;

  const declare = () => post({ lead: { term, rank: rank() } });

  /** Tells a newcomer who leads, and the news that it has missed. */
  const introduce = () => {
    if (signal.aborted) return;
    const { document } = client;
    if (savings) post({ news: savings });
    declare();
    if (document) post({ news: document });
  };

  const callTheRoll = async () => {
    const { held = [] } = await navigator.locks.query();
    if (signal.aborted) return;
    for (const { name = "" } of held) {
      if (name.startsWith(lifelines)) memberOf(name.slice(lifelines.length));
    }
    if (!isComplete()) setTimeout(rolled, ROLL_CALL_MS);
    else rolled();
  };

  const isComplete = () => [...members.values()].every(({ present }) => present);

  /** All members have reported, or have had the time to. */
  const rolled = () => {
    counting = false;
    share();
  };

  /**
   * The record of a member. The first call also begins to watch for its end.
   * @param {string} id
   */
  const memberOf = (id) => {
    let member = members.get(id);
    if (!member && id !== self) {
      member = { want: 0, front: false, held: 0, allowed: 0, seq: 0, asks: false, present: false };
      members.set(id, member);
      const gone = () => {
        if (members.delete(id)) review();
      };
      navigator.locks.request(lifelines + id, { signal }, gone).catch(() => {});
    }
    return member;
  };

  /**
   * A member has come, gone, or reported.
   * @param {number} [tokens] given back
   */
  const review = (tokens) => {
    if (!counting) share(tokens);
    else if (isComplete()) rolled();
  };

  /**
   * @param {string} from
   * @param {any} report
   */
  const note = (from, { term: theirs, doubts, asks, want, front, held, seq, tokens }) => {
    // Answered from a timer: a frozen page hears and answers messages, but its timers do not fire.
    if (doubts) setTimeout(introduce);
    else if (theirs === undefined) introduce();
    const member = theirs === term && memberOf(from);
    if (!member) return;
    if (seq === member.seq) {
      member.held = held;
      if (!member.present) member.allowed = held;
    }
    Object.assign(member, { want, front, present: true, asks: asks || member.asks });
    review(tokens);
  };

  /**
   * Gives and takes slots until all members have what is due to them. The rest stays with the leader.
   * @param {number} [tokens] that a member gave back
   */
  const share = (tokens = 0) => {
    if (signal.aborted || counting || part.busy) return;
    const { limit, inFlight, queued } = part.measure();
    part.want = Math.min(inFlight + queued, limit);
    const others = [...members];
    const all = [{ want: part.want, front: rank() > HIDDEN }, ...others.map(([, member]) => member)];
    const [due, ...dues] = divide(limit, all, turn);
    const away = () => others.reduce((sum, [, { held }]) => sum + held, 0);
    let free = Math.max(0, limit - away() - Math.max(inFlight, due));
    let granted = 0;
    const grants = others.map(([, member], index) => {
      const grant = Math.max(0, Math.min(dues[index] - member.held, free));
      free -= grant;
      granted += grant;
      member.held += grant;
      return grant;
    });
    owed = others.reduce((sum, [, { held }], index) => sum + Math.max(0, dues[index] - held), 0);
    // Tokens follow the slots: to members that are due some, else they stay here.
    const passes = granted + owed > 0;
    // Without a limit nothing is left to the others.
    const given = part.use(limit && away() + owed, 0, passes ? 0 : tokens + purse, owed > 0);
    purse = passes ? purse + tokens + given : 0;
    const tokensPerSlot = purse / (granted + owed);
    others.forEach(([id, member], index) => {
      const slots = Math.min(member.held, dues[index]);
      if (slots === member.allowed && !member.asks) return;
      Object.assign(member, { allowed: slots, seq: member.seq + 1, asks: false });
      const { held, seq } = member;
      // `of: 0` would mean "the whole limit".
      const share = { term, slots, of: limit || 1, held, seq, tokens: grants[index] && grants[index] * tokensPerSlot };
      post({ to: id, share });
    });
    if (granted > 0) purse -= granted * tokensPerSlot;
    if (limit > 0 && others.some(([, { held, want }]) => held > 0 || want > 0)) {
      tick ??= setTimeout(() => {
        tick = undefined;
        turn += 1;
        share();
      }, TURN_MS);
    }
  };

  client.lead(true);
  declare();
  callTheRoll();

  return {
    hear({ from, news, report }) {
      if (news !== undefined) share();
      else if (report) note(from, report);
    },
    press(rises) {
      if (members.size > 0 && (rises || owed > 0)) share();
    },
    look() {
      declare();
      share();
    },
    relayed(news) {
      if (Array.isArray(news)) savings = news;
      // After the client has taken it in, the limit may be another one.
      else if (members.size > 0) queueMicrotask(share);
    },
    end() {
      reign.abort();
      clearTimeout(tick);
    },
  };
}
