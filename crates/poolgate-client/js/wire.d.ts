// The documents that the client reads.
// Written by `cargo xtask contract` from the Rust types. Do not edit.

/** How strongly clients are slowed down. */
export type ThrottlingLevel = "NORMAL" | "MODERATE" | "AGGRESSIVE" | "EMERGENCY";

/**
 * How the database is: how full the pool is (checked out / capacity, averaged over two seconds), and whether the database
 * does all of its work.
 */
export type Health = "HEALTHY" | "DEGRADED" | "CRITICAL";

/** State of the circuit breaker between the clients and a database that may not answer. */
export type CircuitState = "closed" | "open" | "half_open";

/**
 * What every client may send. The same bytes for everyone: it holds no clock, no gauge and nothing about one client.
 *
 * The first six fields are enough for a client that knows only them; the others refine. See
 * `fair_rate_per_second` for which of them a client enforces.
 */
export interface ThrottlingConfig {
  /** How strongly clients are slowed down. */
  throttling_level: ThrottlingLevel;
  /** Requests that one client may have in flight, 1 to 10. */
  max_concurrent_requests: number;
  /** Requests that one client may start in a minute, 5 to 100. */
  max_requests_per_minute: number;
  /** Shortest time between two starts of one client, 100 to 2,000 ms. */
  request_delay_ms: number;
  /** Nothing may pass but probes. */
  circuit_breaker_open: boolean;
  /** The level is EMERGENCY. */
  emergency_mode_active: boolean;
  /** Unix milliseconds of the server's start; with `version` it orders configs. */
  epoch: number;
  /** Counts the configs of an epoch; it changes only when the content does. */
  version: number;
  /** How full the pool is, and whether the database does all of its work. */
  health: Health;
  /** `false`: a client enforces nothing but the breaker and pauses. */
  enforced: boolean;
  /**
   * Requests a second that each client may start, greater than 0. Present while the adaptive policy limits: a client
   * then enforces this rate and `max_concurrent_requests`. Absent while `enforced`: it enforces the first six fields.
   */
  fair_rate_per_second: number | null;
  /** After how long a client without a stream asks again, in seconds. */
  poll_after_seconds: number;
  /** How long the config holds without news, in seconds; after that a client moves towards the NORMAL row. */
  ttl_seconds: number;
  /** While the breaker is open: when to ask again, in seconds. */
  retry_after_seconds: number | null;
  /** While the breaker is half-open: the share of the clients, 0 to 1, that may send one request at a time. */
  probe_fraction: number | null;
  /** Why the config is as it is. */
  reason: string;
}

/** What asked for a cleanup. */
export type CleanupTrigger = "manual" | "automatic";

/** Report of one cleanup. */
export interface CleanupReport {
  /** What asked for it. */
  trigger: CleanupTrigger;
  /** When it began, RFC 3339 in UTC. */
  started_at: string;
  /** How long it took, in milliseconds. */
  duration_ms: number;
  /** Connections in use before. */
  checked_out_before: number;
  /** Connections in use after. */
  checked_out_after: number;
  /** Idle connections that were closed. */
  idle_closed: number;
  /** Connections in use that the cleanup gave back to the pool. */
  freed: number;
  /** Connections in use for longer than the leak threshold; each is in the log with its place. */
  leases_flagged: number;
  /** Leases that were taken away from holders who had forgotten them. */
  revoked: number;
  /** Statements that were cancelled on the database server. */
  cancelled: number;
  /** Sessions that were ended on the database server because they idled in a transaction. */
  terminated: number;
  /** Steps that were not taken, and why: `revoke: not enabled (cleanup.revoke)`. */
  skipped: string[];
  /** The report in one sentence: `0 freed, 12 leases busy`. */
  summary: string;
}
