// What is the matter, in five sentences: what users meet, why, what to do, and what the server does about it. Pure
// functions from documents to words.

import * as format from "./format.js";
import * as words from "./words.js";

/** @import { RouteActivity, Status } from "../types/wire.js" */
/** @import { Pain, State } from "./state.js" */

/**
 * How bad it is for users, from good to bad; `unknown` is apart.
 * @typedef {"unknown" | "calm" | "limited" | "hurt" | "down"} Tone
 *
 * @typedef {object} Condition
 * @property {Tone} tone
 * @property {string} short for the tab's title; empty while nothing is wrong
 * @property {string} headline
 * @property {string} cause
 * @property {string} todo
 * @property {string} mode
 */

/** From here on failures are the headline: fewer are told in it as a figure. */
const HURT_SHARE = 0.01;
const LEAST_BAD = 2;
/** No answer for so long, while requests are in flight, hurts by itself. */
const SILENT_SECONDS = 3;
/** A connection that is in use for longer is named as a suspect. */
const LONG_LEASE_SECONDS = 5;

/**
 * @param {State} state
 * @param {{ stale: boolean, seconds: number, known: boolean }} fresh
 * @returns {Condition}
 */
export function condition(state, fresh) {
  const { status } = state;
  if (fresh.stale) return withoutContact(state, fresh);
  if (status === null) return { ...NOTHING, headline: "Loading" };
  if (status.pool.capacity === 0 && status.gate === null)
    return { ...NOTHING, headline: "The watched source has sent no figures yet", mode: mode(state, status) };
  const pain = state.pain();
  const found = down(state, status) ?? silent(state, status) ?? hurt(state, pain) ?? quiet(state, status, pain);
  return { ...found, mode: mode(state, status) };
}

/** @type {Condition} */
const NOTHING = { tone: "unknown", short: "", headline: "", cause: "", todo: "", mode: "" };

/**
 * @param {State} state
 * @param {{ seconds: number, known: boolean }} fresh
 * @returns {Condition}
 */
function withoutContact({ status, trouble }, { seconds, known }) {
  const cause = trouble ?? "No answer arrives.";
  if (!known || status === null)
    return {
      ...NOTHING,
      short: "no contact",
      headline: "No contact with the server yet",
      cause,
      todo: "The page keeps trying.",
    };
  return {
    ...NOTHING,
    short: "no contact",
    headline: `No contact with the server for ${format.duration(seconds)}`,
    cause,
    todo: `All figures are the last that it sent, at ${format.clock(status.sampled_at)}. They may be wrong by now.`,
    mode: `The mode was ${words.level(status.throttling_level)} then.`,
  };
}

/**
 * The database or the app cannot be used, and the server refuses requests.
 * @param {State} state
 * @param {Status} status
 */
function down(state, { circuit_breaker: breaker, level_since: since, gateway }) {
  if (breaker === "closed") return null;
  if (breaker === "open" && gateway !== null && gateway.trouble !== null)
    return {
      tone: /** @type {Tone} */ ("down"),
      short: "app down",
      headline: `App down since ${format.clock(since)}: all requests are refused`,
      cause: `${gateway.trouble.charAt(0).toUpperCase()}${gateway.trouble.slice(1)}.`,
      todo: `Check that it runs and listens at ${gateway.upstream}. Requests pass again by themselves once it answers.`,
      mode: "",
    };
  const known = words.cause(state.config?.reason ?? "");
  const usual = breaker === "open" ? "database_unreachable" : "probing";
  const { text, todo } = known.side === "Database" ? known : words.cause(usual);
  const headline =
    breaker === "open"
      ? `Database down since ${format.clock(since)}: all requests are refused`
      : "Database coming back: a few requests test it, all others are refused";
  return { tone: /** @type {Tone} */ ("down"), short: "database down", headline, cause: text, todo, mode: "" };
}

/**
 * Requests are in flight, and none is answered.
 * @param {State} state
 * @param {Status} status
 */
function silent(state, { gate }) {
  const seconds = gate?.unanswered_seconds ?? 0;
  if (gate === null || seconds < SILENT_SECONDS) return null;
  return {
    tone: /** @type {Tone} */ ("hurt"),
    short: "no answers",
    headline: `No request has been answered for ${format.duration(seconds)}; ${gate.in_flight + gate.waiting} are waiting`,
    ...why(state),
    mode: "",
  };
}

/**
 * @param {State} state
 * @param {Pain} pain
 */
function hurt(state, { share, bad, since, sinceBefore, trend }) {
  if (share === null || share < HURT_SHARE || bad < LEAST_BAD) return null;
  const begin = since === null ? "" : ` since ${format.clock(since)}${sinceBefore ? " or earlier" : ""}`;
  const tendency = { worse: ", getting worse", better: ", getting better", steady: ", steady" };
  return {
    tone: /** @type {Tone} */ ("hurt"),
    short: `${format.share(share)} fail`,
    headline: `${format.share(share)} of requests fail${begin}${trend === null ? "" : tendency[trend]}`,
    ...why(state),
    mode: "",
  };
}

/**
 * @param {State} state
 * @param {Status} status
 * @param {Pain} pain
 */
function quiet(state, status, { share, bad }) {
  const limited = status.throttling_level !== "NORMAL";
  const critical = status.alerts.find(({ severity }) => severity === "critical");
  const { side, text, todo } = words.cause(state.config?.reason ?? "healthy");
  if (critical !== undefined) {
    return {
      tone: /** @type {Tone} */ ("limited"),
      short: "critical alert",
      headline: `${outcome(status, share, bad)}, but there is a critical alert; ${usage(status)}`,
      cause: `Alert: ${critical.message}`,
      todo: words.todo(critical.kind),
      mode: "",
    };
  }
  return {
    tone: /** @type {Tone} */ (limited ? "limited" : "calm"),
    short: limited ? words.level(status.throttling_level) : "",
    headline: `${outcome(status, share, bad)}; ${usage(status)}`,
    cause: side === null ? text : `${side}: ${text}`,
    todo,
    mode: "",
  };
}

/**
 * Never more than what is known.
 * @param {Status} status
 * @param {number | null} share
 * @param {number} bad
 */
function outcome({ gate }, share, bad) {
  if (gate === null) return "Requests do not pass this server, so it does not see whether they succeed";
  if (share === null) return gate.in_flight > 0 ? "No request has ended in the last 10 s" : "No requests in the last 10 s";
  return bad === 0 ? "No request fails" : `${format.share(share)} of requests fail`;
}

/** @param {Status} status */
function usage(status) {
  const { checked_out: busy, capacity } = status.pool;
  const queued = words.waiting(status);
  const connections = `${busy} of ${capacity} connections in use`;
  if (queued === null) return connections;
  return `${connections}, ${queued === 0 ? "nothing waits" : format.plural(queued, "request") + " waiting"}`;
}

/**
 * Database, load, clients or the app, and who.
 * @param {State} state
 */
function why(state) {
  const { side, text, todo } = words.cause(state.config?.reason ?? "healthy");
  if (side !== null) return { cause: [`${side}: ${text}`, worstRoute(state)].filter(Boolean).join(" "), todo };
  const lease = state.activity?.leases[0];
  const age = state.status?.pool.oldest_checkout_seconds ?? 0;
  if (age >= LONG_LEASE_SECONDS) {
    const who = lease === undefined ? "" : ` by ${lease.route ?? "the app"} (${lease.location})`;
    return {
      cause: `Database or app: a connection has been in use for ${format.duration(age)}${who}. ${worstRoute(state)}`.trim(),
      todo: "Look under Connections in use for what holds them, and in the database for locks and slow queries.",
    };
  }
  return {
    cause: `App: the database responds and demand is below capacity, yet requests get errors. ${worstRoute(state)}`.trim(),
    todo: "Look into the app's log for the errors of that route.",
  };
}

/** @param {State} state */
function worstRoute({ activity }) {
  const failing = (activity?.routes ?? []).filter(({ error_rate: rate }) => (rate ?? 0) >= HURT_SHARE);
  const failures = (/** @type {RouteActivity} */ route) => route.requests * (route.error_rate ?? 0);
  const [worst] = failing.toSorted((one, other) => failures(other) - failures(one));
  return worst === undefined ? "" : `Most failures: ${worst.route} (${format.share(worst.error_rate)} in the last minute).`;
}

/**
 * What the server does about it.
 * @param {State} state
 * @param {Status} status
 */
function mode(state, status) {
  const parts = [
    `Mode ${words.level(status.throttling_level)} since ${format.clock(status.level_since)}.`,
    words.allowance(state.config),
    status.circuit_breaker === "closed" ? "" : words.breaker(status.circuit_breaker),
    state.restartedAt === null ? "" : `The server was restarted at ${format.clock(state.restartedAt)}.`,
  ];
  return parts.filter(Boolean).join(" ");
}
