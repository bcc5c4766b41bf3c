// Texts for the figures. Pure functions from documents to sentences.

import * as format from "./format.js";

/** @import { CircuitState, PoolStatus, Status, ThrottlingConfig, ThrottlingLevel } from "../types/wire.js" */

/**
 * The levels from calm to worst; a level's index is its figure in the history.
 * @type {readonly ThrottlingLevel[]}
 */
export const LEVELS = ["NORMAL", "MODERATE", "AGGRESSIVE", "EMERGENCY"];

/** @type {Record<string, string>} */
const REASONS = {
  healthy: "Demand is below capacity; nothing is limited.",
  demand_above_capacity: "Demand exceeds what the database can serve.",
  wait_high: "A fair rate is in force; waits are still long.",
  rejects_high: "A fair rate is in force; many requests are still rejected.",
  clients_disobey: "Most requests are rejected: clients exceed their rate.",
  pool_usage: "The limits follow the pool's usage.",
  database_unreachable: "The database does not answer.",
  login_refused: "The database refuses the server's login.",
  server_full: "The database server has no free connection.",
  database_paused: "The database is paused: requests wait until it is resumed.",
  read_only: "The database is read-only: writes fail, reads work.",
  storage_full: "The database's disk is full: writes fail, reads work.",
  writes_blocked: "Another session holds a lock: writes fail, reads work.",
  probing: "The database seems to answer again; a few clients probe it.",
  recovering: "The probes succeeded; clients are admitted step by step.",
};

/** @type {Record<CircuitState, string>} */
const BREAKER = {
  closed: "Circuit breaker closed: requests flow.",
  open: "Circuit breaker open: no request passes until the database answers.",
  half_open: "Circuit breaker half-open: a few requests probe the database.",
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
 * The state in one sentence.
 * @param {Status} status
 * @param {{ at: number, seenBegin: boolean }} since when the level was first seen, and whether its beginning was seen
 */
export function verdict(status, since) {
  const { pool, performance } = status;
  const begin = since.seenBegin
    ? `since ${format.clock(since.at)}`
    : `since ${format.clock(since.at)} or earlier`;
  const requests = waiting(status);
  return [
    `${level(status.throttling_level)} ${begin} — ${connections(pool)}`,
    requests === 0 ? "nothing waiting" : requests && `${format.plural(requests, "request")} waiting`,
    performance.acquire_wait_ms && `p99 wait ${format.milliseconds(performance.acquire_wait_ms.p99)}`,
  ]
    .filter(Boolean)
    .join(", ");
}

/**
 * A capacity of zero means that the pool has not been read yet.
 * @param {PoolStatus} pool
 */
function connections({ checked_out, capacity }) {
  return capacity === 0
    ? "the watched source has not been read yet"
    : `${checked_out} of ${capacity} connections busy`;
}

/**
 * Requests that wait at the gate or for a connection; null where the watched source does not report them.
 * @param {Status} status
 */
export function waiting({ gate, pool }) {
  return pool.waiting === null ? null : (gate?.waiting ?? 0) + pool.waiting;
}

/**
 * The cause, and what each client may send.
 * @param {ThrottlingConfig | null} config
 */
export function reason(config) {
  return config === null ? "" : `${cause(config)} ${allowance(config)}`.trim();
}

/**
 * The cause only.
 * @param {ThrottlingConfig | null} config
 */
export function cause(config) {
  if (config?.reason === "healthy" && config.enforced) return "Demand is below capacity.";
  return config === null ? "" : (REASONS[config.reason] ?? `Reason: ${config.reason}.`);
}

/** @param {CircuitState} state */
export function breaker(state) {
  return BREAKER[state] ?? `Circuit breaker: ${state}.`;
}

/** @param {ThrottlingConfig} config */
function allowance(config) {
  if (!config.enforced) return "";
  const rate = config.fair_rate_per_second;
  if (rate !== null)
    return `Each client may send ${perTime(rate)}, ${config.max_concurrent_requests} at a time.`;
  return (
    `Each client may send ${config.max_requests_per_minute} a minute, ${config.max_concurrent_requests} at a time, ` +
    `${config.request_delay_ms} ms apart.`
  );
}

/**
 * A rate per second or per minute, whichever gives a readable figure.
 * @param {number} perSecond
 */
export function perTime(perSecond) {
  if (perSecond >= 0.95) return `${format.rate(perSecond)} a second`;
  const perMinute = perSecond * 60;
  return `${perMinute >= 10 ? perMinute.toFixed(0) : perMinute.toFixed(1)} a minute`;
}
