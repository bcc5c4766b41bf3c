// @ts-check
// A follower asks the leader for slots when its requests wait, uses them without a message, and gives them back when it is
// idle. It replaces a leader that does not answer or is silent for long, and a visible tab replaces a hidden leader.

import { HEARTBEAT_MS } from "../contract.js";
import { HIDDEN, VISIBLE, rank } from "./rank.js";

/** How long a leader may take to answer a request for slots. */
const PATIENCE_MS = 300;
/** A leader that was silent for this time is asked whether it is alive. One with a stream relays every heartbeat. */
const SILENCE_MS = HEARTBEAT_MS + 5000;
/** How long it may take to answer that: timers of a hidden page fire once a second. */
const PROOF_MS = 1500;
/** A tab that has had nothing to do for this time gives its slots back. */
const IDLE_MS = 1000;

/**
 * @param {import("./part.js").Client} client
 * @param {import("./part.js").Part} part
 * @param {(message: object) => void} post
 * @param {() => void} usurp takes the lead
 * @returns {import("./protocol.js").Role & { greet(): void }}
 */
export function follow(client, part, post, usurp) {
  /** @type {{ term: string, rank: number } | undefined} */
  let leader;
  /** Slots: `held` are in use or may be, `keep` may be used from now on, `of` is the limit for all tabs. */
  let slots = { held: part.measure().inFlight, keep: 0, of: 1, seq: 0 };
  /** @type {ReturnType<typeof setTimeout> | undefined} until the leader gives slots */
  let patience;
  /** @type {ReturnType<typeof setTimeout> | undefined} until the leader says anything */
  let silence;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let tick;

  /** Asks who leads, or whether the leader is alive, and leads if there is no answer. */
  const greet = (doubts = false) => {
    post({ report: { doubts } });
    clearTimeout(silence);
    silence = setTimeout(usurp, doubts ? PROOF_MS : PATIENCE_MS);
  };

  /** The leader is alive. */
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(() => greet(true), SILENCE_MS);
  };

  /** Takes the lead if this page is visible and the leader is not. */
  const challenge = () => {
    if (leader && leader.rank < rank() && rank() === VISIBLE) usurp();
  };

  /** @param {{ term: string, rank: number }} told */
  const obey = (told) => {
    const known = leader?.term === told.term;
    leader = told;
    if (!known) {
      clearTimeout(patience);
      part.measure();
      slots.seq = 0;
      report(part.want > slots.keep);
    }
    challenge();
  };

  /** Reports what this tab holds and wants. */
  const report = (asks = false, tokens = 0) => {
    slots.held = Math.min(slots.held, Math.max(slots.keep, part.inFlight));
    const { held, seq } = slots;
    const { want } = part;
    post({ report: { term: leader?.term, asks, want, front: rank() > HIDDEN, held, seq, tokens } });
    if (asks) {
      clearTimeout(patience);
      patience = setTimeout(usurp, PATIENCE_MS);
    }
    if (held > 0 || want > 0) tick ??= setTimeout(rest, IDLE_MS);
  };

  /** @param {{ slots: number, of: number, held: number, seq: number, tokens: number }} share */
  const take = ({ slots: keep, of, held, seq, tokens }) => {
    clearTimeout(patience);
    part.measure();
    slots = { held: Math.max(slots.held, keep), keep, of, seq };
    const given = part.use(keep, of, tokens, part.inFlight > keep);
    part.measure();
    if (Math.max(keep, part.inFlight) < slots.held || held !== slots.held) report(false, given);
    tick ??= setTimeout(rest, IDLE_MS);
  };

  /** Wants fewer slots if there was less to do lately, and gives back those that it does not need. */
  const rest = () => {
    tick = undefined;
    const { inFlight, queued, limit, made } = part.measure();
    part.made = 0;
    const want = Math.min(Math.max(inFlight + queued, Math.min(made, 1)), limit);
    if (want === 0 && slots.held + part.want > 0) {
      part.want = slots.keep = 0;
      report(false, part.use(0, 1, 0));
    } else if (want !== part.want) {
      part.want = want;
      report();
    } else {
      tick = setTimeout(rest, IDLE_MS);
    }
  };

  part.want = 0;
  client.lead(false);
  // Only the slots of requests in flight.
  part.use(0, 1, 0, part.inFlight > 0);

  return {
    greet,
    hear({ news, lead, share }) {
      if (news !== undefined || lead || share) heard();
      if (lead) obey(lead);
      else if (share && share.term === leader?.term) take(share);
    },
    press(rises) {
      if (rises) report(true);
      else if (part.inFlight < slots.held && slots.held > slots.keep) report();
    },
    look() {
      if (part.want > 0 || slots.held > 0) report();
      challenge();
    },
    end() {
      for (const timer of [patience, silence, tick]) clearTimeout(timer);
    },
  };
}
