// @ts-check
// All tabs and workers of a browser that talk to the same server act as one client. One of them leads: it has the event
// stream and hands on what it hears, and it owns the budget: slots, each with its part of the rate. The others ask for
// slots when they have requests that wait, use them without a message, and give them back when they are idle.
//
// A Web Lock says who leads, and another one, of each member, that it lives: whoever closes or crashes lets go of both,
// and its slots are free. A page that is frozen or left for the back/forward cache leaves in order. A leader that does not
// answer is replaced by whoever asked; one that is not looked at, by one that is.

import { divide } from "./slots.js";

/** How long a leader may take to answer before it is replaced. */
const PATIENCE_MS = 300;
/** How long a new leader waits for the members to say what they hold. */
const ROLL_CALL_MS = 100;
/** How often a leader gives others a turn where there are fewer slots than members that want one. */
const TURN_MS = 500;
/** A member that has had nothing to do for so long gives its slots back. */
const IDLE_MS = 1000;

/** Pages that are looked at lead before workers, and those before pages that are not. */
const RANK = { hidden: 0, worker: 1, visible: 2 };

/** Whether this realm can act as one with others: in a secure context of a browser. */
export function canShare() {
  return Boolean(
    globalThis.isSecureContext && globalThis.navigator?.locks && typeof globalThis.BroadcastChannel === "function",
  );
}

/**
 * @typedef {import("./core.js").Core} Core
 * @typedef {{ term: string, rank: number }} Leader `term` is new each time that somebody begins to lead
 * @typedef {object} Member what a leader knows of another client
 * @property {number} want
 * @property {boolean} front
 * @property {number} held slots that it may use at most, as far as it has not said otherwise
 * @property {number} allowed slots that it was last told
 * @property {number} seq of that message
 * @property {boolean} asks it waits for an answer
 * @property {boolean} present it has answered the roll call
 */

export class Tabs {
  /** @type {Core} */
  #core;
  #name;
  #id = "";
  /** @type {AbortController | undefined} while it is a member */
  #membership;
  /** @type {AbortController | undefined} while it waits to lead */
  #candidacy;
  /** @type {BroadcastChannel | undefined} */
  #channel;
  /** @type {Leader | undefined} */
  #leader;
  /** @type {Map<string, Member> | undefined} while it leads */
  #members;
  /** @type {AbortController | undefined} while it leads */
  #reign;
  #counting = false;
  /** Slots that somebody waits for until requests end, and the tokens that go with them. */
  #owed = 0;
  #purse = 0;
  #turn = 0;
  /** What this client does and wants; `want` is what it last said. */
  #own = { inFlight: 0, queued: 0, limit: 0, made: 0, want: 0 };
  /** Slots that this client uses as a follower: what it holds, may keep, and of how many they are a part. */
  #slots = { held: 0, keep: 0, of: 1, seq: 0 };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #patience;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #tick;
  #busy = false;

  /**
   * @param {string} server clients of the same server share
   * @param {Core} core
   */
  constructor(server, core) {
    this.#name = `poolgate ${server}`;
    this.#core = core;
  }

  /** Becomes a member; asks to lead, and follows until then. */
  async join() {
    if (this.#membership) return;
    const membership = (this.#membership = new AbortController());
    this.#id = Math.random().toString(36).slice(2);
    const lives = await this.#hold(this.#lifeline(this.#id), membership.signal);
    if (membership.signal.aborted) return;
    if (!lives) return this.#standAlone();
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#stand();
    this.#greet();
  }

  /** Uses the limits as if there were no others: a sandboxed frame, or a page without site data, gets no locks. */
  #standAlone() {
    this.#membership = undefined;
    this.#core.lead(true);
    this.#use(0, 0, 0);
  }

  /** Gives everything back, to the others or to whoever comes next. */
  leave() {
    this.#membership?.abort();
    // A request for a lock, too, keeps a page out of the back/forward cache.
    this.#candidacy?.abort();
    this.#channel?.close();
    this.#membership = this.#channel = this.#candidacy = undefined;
    this.#resign();
  }

  /** The page is looked at, or no more. */
  look() {
    if (this.#members) {
      Object.assign(/** @type {object} */ (this.#leader), { rank: rank() });
      this.#post({ lead: this.#leader });
      this.#divide();
    } else {
      if (this.#own.want > 0 || this.#slots.held > 0) this.#report();
      this.#challenge();
    }
  }

  /**
   * Hands on what the server said.
   * @param {unknown} news
   */
  relay(news) {
    this.#post({ news });
    // The limit may be another one, once the client has taken it in.
    if (this.#members?.size) queueMicrotask(() => this.#divide());
  }

  /**
   * What this client has to do.
   * @param {number} inFlight
   * @param {number} queued
   * @param {number} limit the slots of all together; 0: nothing limits
   * @param {number} made requests since it last said so
   */
  demand(inFlight, queued, limit, made) {
    const own = Object.assign(this.#own, { inFlight, queued, limit, made: this.#own.made + made });
    if (this.#busy || limit === 0 || !this.#channel) return;
    const wants = Math.min(inFlight + queued, limit);
    const rises = queued > 0 && wants > own.want;
    if (rises) own.want = wants;
    if (this.#members) {
      if (this.#members.size > 0 && (rises || this.#owed > 0)) this.#divide();
    } else if (rises) {
      this.#report(true);
    } else if (inFlight < this.#slots.held && this.#slots.held > this.#slots.keep) {
      this.#report();
    }
  }

  /** @param {any} message */
  #hear({ from, to, news, lead, share, report }) {
    if (news !== undefined) {
      this.#core.hear(news);
      if (this.#members) this.#divide();
    } else if (lead && !this.#members) {
      this.#obey(lead);
    } else if (share && to === this.#id && share.term === this.#leader?.term) {
      this.#take(share);
    } else if (report && this.#members) {
      this.#note(from, report);
    }
  }

  // Leading.

  /** Waits to lead, or takes the lead from another. */
  #stand(steal = false) {
    const signal = this.#membership?.signal;
    if (!signal || signal.aborted) return;
    this.#candidacy?.abort();
    const candidacy = (this.#candidacy = new AbortController());
    this.#hold(`${this.#name} leader`, signal, steal ? { steal } : { signal: candidacy.signal }, () => {
      // Another one leads now.
      if (this.#candidacy === candidacy && !signal.aborted) {
        this.#resign();
        this.#stand();
        this.#greet();
      }
    }).then((held) => {
      if (held && this.#candidacy === candidacy && !signal.aborted) this.#reignFrom(signal);
    });
  }

  /** Takes the lead from one that is looked at less, or does not answer. */
  #challenge(silent = false) {
    if (!this.#channel || this.#members) return;
    const visible = rank() === RANK.visible;
    if (silent || (visible && this.#leader && this.#leader.rank < RANK.visible)) this.#stand(true);
  }

  /** @param {AbortSignal} membership */
  async #reignFrom(membership) {
    const reign = (this.#reign = new AbortController());
    const members = (this.#members = new Map());
    this.#leader = { term: Math.random().toString(36).slice(2), rank: rank() };
    clearTimeout(this.#patience);
    this.#counting = true;
    this.#core.lead(true);
    this.#post({ lead: this.#leader });
    const { held = [] } = await navigator.locks.query();
    if (reign.signal.aborted || membership.aborted) return;
    const lifelines = this.#lifeline("");
    for (const { name = "" } of held) {
      if (name.startsWith(lifelines)) this.#member(name.slice(lifelines.length));
    }
    if ([...members.values()].some(({ present }) => !present)) {
      setTimeout(() => this.#rolled(), ROLL_CALL_MS);
    } else {
      this.#rolled();
    }
  }

  /** All members have said what they hold, or had the time to. */
  #rolled() {
    if (!this.#members || !this.#counting) return;
    this.#counting = false;
    this.#divide();
  }

  /** Leads no more, or never did: uses nothing but what its requests in flight hold. */
  #resign() {
    this.#reign?.abort();
    this.#reign = this.#members = this.#leader = undefined;
    this.#counting = false;
    this.#owed = this.#purse = 0;
    clearTimeout(this.#patience);
    clearTimeout(this.#tick);
    this.#tick = undefined;
    this.#measure();
    this.#own.want = 0;
    this.#slots = { held: this.#own.inFlight, keep: 0, of: 1, seq: 0 };
    this.#core.lead(false);
    this.#use(0, 1, 0, this.#own.inFlight > 0);
  }

  /**
   * The record of a member; from the first time on, its end is watched for.
   * @param {string} id
   */
  #member(id) {
    const members = /** @type {Map<string, Member>} */ (this.#members);
    let member = members.get(id);
    if (!member && id !== this.#id) {
      member = { want: 0, front: false, held: 0, allowed: 0, seq: 0, asks: false, present: false };
      members.set(id, member);
      const signal = /** @type {AbortController} */ (this.#reign).signal;
      const gone = () => {
        if (members.delete(id) && this.#members === members) this.#present();
      };
      navigator.locks.request(this.#lifeline(id), { signal }, gone).catch(() => {});
    }
    return member;
  }

  /**
   * @param {string} from
   * @param {any} report
   */
  #note(from, { term, asks, want, front, held, seq, tokens }) {
    const leader = /** @type {Leader} */ (this.#leader);
    if (term !== leader.term) {
      // It does not know who leads.
      if (term === undefined) {
        const { document } = this.#core;
        this.#post({ lead: leader });
        if (document) this.#post({ news: document });
      }
      return;
    }
    const member = this.#member(from);
    if (!member) return;
    if (seq === member.seq) {
      member.held = held;
      if (!member.present) member.allowed = held;
    }
    Object.assign(member, { want, front, present: true, asks: asks || member.asks });
    this.#present(tokens);
  }

  /**
   * Somebody has come, gone, or said something.
   * @param {number} [tokens] given back
   */
  #present(tokens) {
    const members = /** @type {Map<string, Member>} */ (this.#members);
    if (this.#counting) {
      if ([...members.values()].every(({ present }) => present)) this.#rolled();
    } else {
      this.#divide(tokens);
    }
  }

  /**
   * Gives and takes slots until everybody has what is due. What nobody wants stays here.
   * @param {number} [tokens] that somebody gave back
   */
  #divide(tokens = 0) {
    const members = this.#members;
    if (!members || this.#counting || this.#busy) return;
    const { limit, inFlight, queued } = this.#measure();
    this.#own.want = Math.min(inFlight + queued, limit);
    if (limit === 0) {
      this.#use(0, 0, tokens + this.#purse);
      this.#owed = this.#purse = 0;
      return;
    }
    const others = [...members];
    const everybody = [{ want: this.#own.want, front: rank() > RANK.hidden }, ...others.map(([, member]) => member)];
    const [due, ...dues] = divide(limit, everybody, this.#turn);
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
    const owed = others.reduce((sum, [, { held }], index) => sum + Math.max(0, dues[index] - held), 0);
    this.#owed = owed;
    // Tokens go where slots go: to the others as far as they are due some, else they stay here.
    const passes = granted + owed > 0;
    const given = this.#use(away() + owed, 0, passes ? 0 : tokens + this.#purse, owed > 0);
    this.#purse = passes ? this.#purse + tokens + given : 0;
    const tokensPerSlot = this.#purse / (granted + owed);
    others.forEach(([id, member], index) => {
      const slots = Math.min(member.held, dues[index]);
      if (slots === member.allowed && !member.asks) return;
      Object.assign(member, { allowed: slots, seq: member.seq + 1, asks: false });
      const share = { term: this.#leader?.term, slots, of: limit, held: member.held, seq: member.seq };
      this.#post({ to: id, share: { ...share, tokens: grants[index] > 0 ? grants[index] * tokensPerSlot : 0 } });
    });
    if (granted > 0) this.#purse -= granted * tokensPerSlot;
    if (others.some(([, { held, want }]) => held > 0 || want > 0)) {
      this.#tick ??= setTimeout(() => {
        this.#tick = undefined;
        this.#turn += 1;
        this.#divide();
      }, TURN_MS);
    }
  }

  // Following.

  /** @param {Leader} leader */
  #obey(leader) {
    const known = this.#leader?.term === leader.term;
    this.#leader = leader;
    if (!known) {
      clearTimeout(this.#patience);
      this.#measure();
      this.#slots.seq = 0;
      this.#report(this.#own.want > this.#slots.keep);
    }
    this.#challenge();
  }

  /** Asks who leads, and leads where nobody answers. */
  #greet() {
    this.#post({ report: {} });
    this.#await();
  }

  #await() {
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => this.#challenge(true), PATIENCE_MS);
  }

  /** Says what this client holds and wants. */
  #report(asks = false, tokens = 0) {
    const { slots, own } = { slots: this.#slots, own: this.#own };
    slots.held = Math.min(slots.held, Math.max(slots.keep, own.inFlight));
    const { held, seq } = slots;
    const front = rank() > RANK.hidden;
    this.#post({ report: { term: this.#leader?.term, asks, want: own.want, front, held, seq, tokens } });
    if (asks) this.#await();
    if (held > 0 || own.want > 0) this.#tick ??= setTimeout(() => this.#rest(), IDLE_MS);
  }

  /** @param {{ slots: number, of: number, held: number, seq: number, tokens: number }} share */
  #take({ slots, of, held, seq, tokens }) {
    clearTimeout(this.#patience);
    this.#measure();
    const had = this.#slots.held;
    this.#slots = { held: Math.max(had, slots), keep: slots, of, seq };
    const given = this.#use(slots, of, tokens, this.#own.inFlight > slots);
    this.#measure();
    if (Math.max(slots, this.#own.inFlight) < this.#slots.held || held !== this.#slots.held) {
      this.#report(false, given);
    }
    this.#tick ??= setTimeout(() => this.#rest(), IDLE_MS);
  }

  /** Wants less, if there was less to do of late; gives back what is not needed. */
  #rest() {
    this.#tick = undefined;
    if (!this.#channel || this.#members) return;
    const { inFlight, queued, limit, made } = this.#measure();
    this.#own.made = 0;
    const want = Math.min(Math.max(inFlight + queued, Math.min(made, 1)), limit);
    if (want === 0 && this.#slots.held + this.#own.want > 0) {
      this.#own.want = this.#slots.keep = 0;
      this.#report(false, this.#use(0, 1, 0));
    } else if (want !== this.#own.want) {
      this.#own.want = want;
      this.#report();
    } else {
      this.#tick = setTimeout(() => this.#rest(), IDLE_MS);
    }
  }

  // Both.

  /** What this client does now. */
  #measure() {
    const busy = this.#busy;
    this.#busy = true;
    this.#core.demand();
    this.#busy = busy;
    return this.#own;
  }

  /**
   * @param {number} held
   * @param {number} of
   * @param {number} tokens
   */
  #use(held, of, tokens, owing = false) {
    const busy = this.#busy;
    this.#busy = true;
    const given = this.#core.share(held, of, tokens, owing);
    this.#busy = busy;
    return given;
  }

  /** @param {object} message */
  #post(message) {
    this.#channel?.postMessage({ from: this.#id, ...message });
  }

  /** @param {string} id */
  #lifeline(id) {
    return `${this.#name} member ${id}`;
  }

  /**
   * Holds a lock until the signal is aborted. Fulfilled with whether it was got.
   * @param {string} name
   * @param {AbortSignal} signal
   * @param {LockOptions} [options]
   * @param {() => void} [lost] it was taken away
   * @returns {Promise<boolean>}
   */
  #hold(name, signal, options = { signal }, lost = () => {}) {
    return new Promise((resolve) => {
      let got = false;
      const hold = () =>
        new Promise((release) => {
          got = true;
          signal.addEventListener("abort", release);
          if (signal.aborted) release(undefined);
          resolve(true);
        });
      navigator.locks.request(name, options, hold).catch(() => (got ? lost() : resolve(false)));
    });
  }
}

function rank() {
  const { document } = globalThis;
  if (!document) return RANK.worker;
  return document.visibilityState === "visible" ? RANK.visible : RANK.hidden;
}
