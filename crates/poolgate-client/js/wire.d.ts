// The documents that the client reads.
// Written by `cargo xtask contract` from the Rust types. Do not edit.

/** How strongly clients are limited. */
export type ThrottlingLevel = "NORMAL" | "MODERATE" | "AGGRESSIVE" | "EMERGENCY";

/**
 * How full the pool is (checked out / capacity, averaged over two seconds), and whether the database works without
 * restriction.
 */
export type Health = "HEALTHY" | "DEGRADED" | "CRITICAL";

/** State of the circuit breaker between the clients and the database. */
export type CircuitState = "closed" | "open" | "half_open";

/**
 * What each client may send. All clients get the same bytes: no clock, no gauge, nothing about a single client.
 *
 * The first six fields suffice for a client that predates the others; the others refine them.
 * `fair_rate_per_second` says which of them a client enforces.
 */
export interface ThrottlingConfig {
  /** How strongly clients are limited. */
  throttling_level: ThrottlingLevel;
  /** Maximum number of requests in flight per client, 1 to 10. */
  max_concurrent_requests: number;
  /** Maximum number of requests that one client starts per minute, 5 to 100. */
  max_requests_per_minute: number;
  /** Minimum time between two starts of one client, 100 to 2,000 ms. */
  request_delay_ms: number;
  /** `true`: the breaker is open and clients send only probes. */
  circuit_breaker_open: boolean;
  /** `true`: the level is EMERGENCY. */
  emergency_mode_active: boolean;
  /** Start of the server in Unix milliseconds; orders configs together with `version`. */
  epoch: number;
  /** Number of the config within its epoch; changes only with the content. */
  version: number;
  /** How full the pool is, and whether the database works without restriction. */
  health: Health;
  /** `false`: clients enforce only the breaker and pauses. */
  enforced: boolean;
  /**
   * Requests per second that each client may start, greater than 0. Present while the adaptive policy limits:
   * clients enforce this rate and `max_concurrent_requests`. Absent while `enforced` is `true`: clients enforce the
   * first six fields.
   */
  fair_rate_per_second: number | null;
  /** Poll interval for clients without a stream, in seconds. */
  poll_after_seconds: number;
  /** How long the config holds unless it is confirmed, in seconds; later a client moves towards the NORMAL row. */
  ttl_seconds: number;
  /** Time until the next poll while the breaker is open, in seconds. */
  retry_after_seconds: number | null;
  /** Share of the clients, 0 to 1, that may probe with one request at a time while the breaker is half-open. */
  probe_fraction: number | null;
  /** Why these limits are in force. */
  reason: string;
}

/** What triggered a cleanup. */
export type CleanupTrigger = "manual" | "client" | "automatic";

/** Report of one cleanup. */
export interface CleanupReport {
  /** What triggered it. */
  trigger: CleanupTrigger;
  /** When it began, RFC 3339 in UTC. */
  started_at: string;
  /** Duration in milliseconds. */
  duration_ms: number;
  /** Connections in use before the cleanup. */
  checked_out_before: number;
  /** Connections in use after the cleanup. */
  checked_out_after: number;
  /** Idle connections closed. */
  idle_closed: number;
  /** Connections in use that returned to the pool. */
  freed: number;
  /** Connections in use for longer than the leak threshold; the log names where each was acquired. */
  leases_flagged: number;
  /** Leases revoked because their holders kept them too long. */
  revoked: number;
  /** Statements cancelled on the database server. */
  cancelled: number;
  /** Sessions terminated on the database server because they were idle in a transaction. */
  terminated: number;
  /** Skipped steps with the reason: `revoke: not enabled (cleanup.revoke)`. */
  skipped: string[];
  /** The report in one sentence: `0 freed, 12 leases busy`. */
  summary: string;
}
