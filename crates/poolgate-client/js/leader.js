// @ts-check
// The tab that leads: it has the event stream and owns the budget. It divides the slots among all that want some, each
// with its part of the rate, and takes back what those held that are gone.

import { HIDDEN, rank } from "./rank.js";
import { divide } from "./slots.js";

/** How long a new leader waits for the members to say what they hold. */
const ROLL_CALL_MS = 100;
/** How often others have a turn where there are fewer slots than members that want one. */
const TURN_MS = 500;

/**
 * @typedef {object} Member what is known of another tab
 * @property {number} want
 * @property {boolean} front
 * @property {number} held slots that it may use at most, as far as it has not said otherwise
 * @property {number} allowed slots that it was last told
 * @property {number} seq of that message
 * @property {boolean} asks it waits for an answer
 * @property {boolean} present it has answered the roll call
 */

/**
 * @param {import("./part.js").Core} core
 * @param {import("./part.js").Part} part
 * @param {(message: object) => void} post
 * @param {string} lifelines how the locks begin that say who lives
 * @param {string} self this tab's own
 * @returns {import("./tabs.js").Role}
 */
export function lead(core, part, post, lifelines, self) {
  /** New each time that somebody begins to lead. */
  const term = Math.random().toString(36).slice(2);
  const reign = new AbortController();
  const { signal } = reign;
  /** @type {Map<string, Member>} */
  const members = new Map();
  let counting = true;
  /** Slots that somebody waits for until requests end, and the tokens that go with them. */
  let owed = 0;
  let purse = 0;
  let turn = 0;
  /** @type {unknown} what is left of the budget, where this is a worker and cannot store it */
  let savings;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let tick;

  const declare = () => post({ lead: { term, rank: rank() } });

  /** Tells who does not know who leads, and all that a newcomer has missed. */
  const introduce = () => {
    if (signal.aborted) return;
    const { document } = core;
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

  /** All members have said what they hold, or had the time to. */
  const rolled = () => {
    counting = false;
    share();
  };

  /**
   * The record of a member; from the first time on, its end is watched for.
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
   * Somebody has come, gone, or said something.
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
    // A frozen page hears and answers, but none of its timers fires and no news reaches it.
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
   * Gives and takes slots until everybody has what is due. What nobody wants stays here.
   * @param {number} [tokens] that somebody gave back
   */
  const share = (tokens = 0) => {
    if (signal.aborted || counting || part.busy) return;
    const { limit, inFlight, queued } = part.measure();
    part.want = Math.min(inFlight + queued, limit);
    const others = [...members];
    const everybody = [{ want: part.want, front: rank() > HIDDEN }, ...others.map(([, member]) => member)];
    const [due, ...dues] = divide(limit, everybody, turn);
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
    // Tokens go where slots go: to the others as far as they are due some, else they stay here.
    const passes = granted + owed > 0;
    // Where nothing limits there is nothing to leave to the others.
    const given = part.use(limit && away() + owed, 0, passes ? 0 : tokens + purse, owed > 0);
    purse = passes ? purse + tokens + given : 0;
    const tokensPerSlot = purse / (granted + owed);
    others.forEach(([id, member], index) => {
      const slots = Math.min(member.held, dues[index]);
      if (slots === member.allowed && !member.asks) return;
      Object.assign(member, { allowed: slots, seq: member.seq + 1, asks: false });
      const { held, seq } = member;
      // Of nothing would be all.
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

  core.lead(true);
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
      // The limit may be another one, once the client has taken it in.
      else if (members.size > 0) queueMicrotask(share);
    },
    end() {
      reign.abort();
      clearTimeout(tick);
    },
  };
}
