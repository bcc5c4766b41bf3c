// Texts for the figures. Pure functions from documents to sentences.

import * as format from "./format.js";

/** @import { CircuitState, Status, ThrottlingConfig, ThrottlingLevel } from "../types/wire.js" */

/**
 * The levels from calm to worst; a level's index is its figure in the history.
 * @type {readonly ThrottlingLevel[]}
 */
export const LEVELS = ["NORMAL", "MODERATE", "AGGRESSIVE", "EMERGENCY"];

/**
 * @typedef {object} Cause
 * @property {"Database" | "Load" | "Clients" | null} side where to look
 * @property {string} text
 * @property {string} todo what to do about it; empty for nothing
 */

const BY_ITSELF = "Nothing needs to be done: traffic is restored step by step.";

/** @type {Record<string, Cause>} */
const REASONS = {
  healthy: { side: null, text: "Demand is below capacity.", todo: "" },
  demand_above_capacity: {
    side: "Load",
    text: "More requests are arriving than the database can handle.",
    todo: "If it lasts, look under Routes for the one that uses most of the pool, or give the database more room.",
  },
  wait_high: {
    side: "Load",
    text: "Clients are rate-limited, but waits for a connection are still long.",
    todo: "Look under Routes for the one that uses most of the pool.",
  },
  rejects_high: {
    side: "Load",
    text: "Clients are rate-limited, but many requests are still rejected.",
    todo: "Look under Clients for those without the newest config, and for senders without the client.",
  },
  clients_disobey: {
    side: "Clients",
    text: "Clients are ignoring their rate limit.",
    todo: "Find the senders that are answered 429 in the access log; update their client or block them.",
  },
  pool_usage: { side: "Load", text: "The limits follow how full the pool is.", todo: "" },
  database_unreachable: {
    side: "Database",
    text: "The database is not responding.",
    todo: "Check that it runs and that this server can reach it. Requests pass again by themselves once it responds.",
  },
  login_refused: {
    side: "Database",
    text: "The database refuses this server's login.",
    todo: "Check the user, the password and the database's name in database.url.",
  },
  server_full: {
    side: "Database",
    text: "The database server has no free connection.",
    todo: "Close sessions of other programs on it, or raise its max_connections.",
  },
  database_paused: {
    side: "Database",
    text: "The database is paused in PgBouncer: requests wait until it is resumed.",
    todo: "RESUME on PgBouncer's console ends the pause.",
  },
  read_only: {
    side: "Database",
    text: "The database is read-only: writes fail, reads work.",
    todo: "Check which server is the primary, and that database.url leads there.",
  },
  storage_full: {
    side: "Database",
    text: "The database's disk is full: writes fail, reads work.",
    todo: "Free space on the database's disk.",
  },
  writes_blocked: {
    side: "Database",
    text: "Another session holds a lock: writes fail, reads work.",
    todo: "Find the session that holds the lock (PostgreSQL: pg_blocking_pids) and end it.",
  },
  probing: { side: "Database", text: "The database is responding again; a few requests test it.", todo: BY_ITSELF },
  recovering: { side: "Database", text: "Test requests succeeded; traffic is being restored.", todo: BY_ITSELF },
};

/** What to do about an alert whose kind is no reason. @type {Record<string, string>} */
const TODO = {
  gate_full: "Requests hold permits without a connection: look for slow calls to other services, or widen the gate.",
  proxy_untrusted: "Name the proxy's address in server.trusted_proxies.",
  cleanup_ineffective: "Look under Connections in use for the code that keeps connections.",
  cluster_static: "Check that this server reaches the cluster's store, and that cluster.max_replicas has a place for it.",
  partial_view: "The alert says which figure is missing, and what to do.",
  pool_usage: "Look under Routes for the one that uses most of the pool.",
};

/** @type {Record<CircuitState, string>} */
const BREAKER = {
  closed: "Circuit breaker closed: requests pass.",
  open: "Circuit breaker open: all requests are refused until the database responds.",
  half_open: "Circuit breaker half-open: a few requests test the database, all others are refused.",
};

/**
 * A level from the wire; an unknown word counts as the worst.
 * @param {string} word
 * @returns {ThrottlingLevel}
 */
export function level(word) {
  return LEVELS.find((known) => known === word) ?? "EMERGENCY";
}

/**
 * Requests that wait at the gate or for a connection; null where the watched source does not report them.
 * @param {Status} status
 */
export function waiting({ gate, pool }) {
  return pool.waiting === null ? null : (gate?.waiting ?? 0) + pool.waiting;
}

/**
 * A reason from the wire; an unknown one is told as it is.
 * @param {string} reason
 * @returns {Cause}
 */
export function cause(reason) {
  return REASONS[reason] ?? { side: null, text: `Reason: ${reason}.`, todo: "" };
}

/**
 * What to do about an alert; empty where the alert says all.
 * @param {string} kind
 */
export function todo(kind) {
  return TODO[kind] ?? REASONS[kind === "database_silent" ? "database_unreachable" : kind]?.todo ?? "";
}

/** @param {CircuitState} state */
export function breaker(state) {
  return BREAKER[state] ?? `Circuit breaker: ${state}.`;
}

/**
 * What each client may send; nothing passes an open breaker.
 * @param {ThrottlingConfig | null} config
 */
export function allowance(config) {
  if (config === null || config.circuit_breaker_open) return "";
  if (!config.enforced) return "Clients are not limited.";
  const rate = config.fair_rate_per_second;
  if (rate !== null)
    return `Each client may send ${format.perTime(rate, " a second", " a minute")}, ${config.max_concurrent_requests} at a time.`;
  return (
    `Each client may send ${config.max_requests_per_minute} a minute, ${config.max_concurrent_requests} at a time, ` +
    `${format.milliseconds(config.request_delay_ms)} apart.`
  );
}
