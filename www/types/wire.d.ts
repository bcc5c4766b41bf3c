// The documents that the page reads.
// Written by `cargo xtask contract` from the Rust types. Do not edit.

import type { CircuitState, CleanupReport, Health, ThrottlingConfig, ThrottlingLevel } from "../pkg/index.js";
export type { CircuitState, CleanupReport, Health, ThrottlingConfig, ThrottlingLevel };

/** How urgent an alert is. */
export type Severity = "info" | "warning" | "critical";

/** Percentiles in milliseconds; 0 when nothing was measured. */
export interface Percentiles {
  /** Median. */
  p50: number;
  /** 95th percentile. */
  p95: number;
  /** 99th percentile. */
  p99: number;
}

/** The kind of database behind the pool. */
export type Backend = "postgres" | "sqlite";

/** The connection pool, all counters from one locked state. */
export interface PoolStatus {
  /** The kind of database. */
  backend: Backend;
  /** Connections that are kept. */
  pool_size: number;
  /** Connections that may be opened on top. */
  max_overflow: number;
  /** `pool_size + max_overflow`. */
  capacity: number;
  /** Connections in use. */
  checked_out: number;
  /** Open connections that nobody uses. */
  idle: number;
  /** Open or opening connections above `pool_size`. */
  overflow: number;
  /** Connections being opened. */
  connecting: number;
  /** Callers that could get a connection without waiting for another to be returned: `capacity - checked_out - connecting`. */
  available: number;
  /** Callers that wait for a connection; null where the source does not show it. */
  waiting: number | null;
  /** `checked_out / capacity` in percent. */
  usage_percent: number;
  /** Counts disposals: connections of an older generation are closed when they come back. */
  generation: number;
  /** Age of the oldest lease in seconds. */
  oldest_checkout_seconds: number | null;
}

/** The gate in front of the pool. */
export interface GateStatus {
  /** Requests that may be in flight. */
  max_concurrent_requests: number;
  /** Requests in flight. */
  in_flight: number;
  /** Requests that wait for a permit. */
  waiting: number;
  /** `in_flight / max_concurrent_requests` in percent. */
  usage_percent: number;
  /** Requests let in since the start. */
  admitted_total: number;
  /** Requests turned away since the start. */
  rejected_total: number;
}

/** What requests met during the last `window_seconds`. */
export interface Performance {
  /** Length of the window in seconds. */
  window_seconds: number;
  /** Requests that arrived in the window, rejected ones included; null where the watched source does not show them. */
  requests: number | null;
  /** Share of them, 0 to 1, that were rejected or answered 5xx; null without a gate. */
  error_rate: number | null;
  response_time_ms: Percentiles | null;
  acquire_wait_ms: Percentiles | null;
  /** Use time / (use time + wait time) of connections, 0 to 1; 1 when nothing ran, null where nobody measures it. */
  pool_efficiency: number | null;
}

/** The clients that listen: open streams, and addresses that polled within the config's `ttl_seconds`. */
export interface Clients {
  /** How many there are. */
  live: number;
  /** How many of them were sent the config in force. */
  in_sync: number;
}

/** An alert that is active. */
export interface Alert {
  /** What it is about. */
  kind: string;
  /** How urgent it is. */
  severity: Severity;
  /** What is wrong, in words with the figure. */
  message: string;
  /** When it was raised, RFC 3339 in UTC. */
  since: string;
}

/** Expected demand. */
export interface Forecast {
  /** How far ahead, in seconds. */
  horizon_seconds: number;
  /** Requests a second that are expected then. */
  arrivals_per_second: number;
}

/** One snapshot of pool, gate and decision. */
export interface Status {
  /** How full the pool is, and whether the database does all of its work. */
  health: Health;
  /** How strongly clients are slowed down. */
  throttling_level: ThrottlingLevel;
  /** The level is EMERGENCY. */
  emergency_mode_active: boolean;
  /** State of the breaker. */
  circuit_breaker: CircuitState;
  /** The connection pool. */
  pool: PoolStatus;
  gate: GateStatus | null;
  /** What requests met lately. */
  performance: Performance;
  /** The clients that listen. */
  clients: Clients;
  last_cleanup: CleanupReport | null;
  /** The alerts that are active now. */
  alerts: Alert[];
  forecast: Forecast | null;
  /** The fair rate in force, requests a second and client. */
  fair_rate_per_second: number | null;
  /** Version of the config in force. */
  config_version: number;
  /** When the snapshot was taken, RFC 3339 in UTC. */
  sampled_at: string;
}

/** Starts native users that call the gated `lab/hold` route. */
export interface LoadRequest {
  /** How many users, 1 to 2,000. */
  users: number;
  /** What all of them together want to send, requests a second, 0.1 to 10,000. */
  requests_per_second: number;
  /** How long each request holds a connection, 0 to 10,000 ms. */
  hold_ms: number;
  /** Whether each user runs the throttle engine, or sends whatever it wants. */
  poolgate: boolean;
  /** How long the load runs, 1 to 600 seconds. */
  seconds: number;
}

/** Whether a load is running. */
export type LoadState = "idle" | "running" | "ended";

/** What the load driver sees. */
export interface LoadReport {
  /** Whether a load is running. */
  state: LoadState;
  request: LoadRequest | null;
  /** Seconds since the load began. */
  elapsed_seconds: number;
  /** Requests that users wanted to send. */
  wanted: number;
  /** Requests that were sent. */
  sent: number;
  /** Answered 2xx within the users' patience of `PATIENCE_SECONDS`. */
  succeeded: number;
  /** Answered 503 or 429 by the gate. */
  rejected: number;
  /** Given up by the user's own throttle: the queue was full, the wait too long, the breaker open. */
  given_up: number;
  /** Anything else: late answers, other statuses, network failures. */
  failed: number;
  /** Requests that wait in the users' own queues now. */
  queued: number;
  /**
   * succeeded / (succeeded + rejected + failed) of the last 5 seconds, 0 to 1: how requests that were sent fared. What
   * users gave up before sending is in `given_up`. 1 when nothing ended.
   */
  success_rate: number;
  /** Requests a second that succeeded over the last 5 seconds. */
  goodput_per_second: number;
  /** Latency of the successes of the last 5 seconds, from the moment the user wanted to send, in milliseconds. */
  latency_ms: Percentiles;
}

/** The body of every response that is not a success. */
export interface Problem {
  /** Identifies the kind of problem. */
  type: string;
  /** The kind in words. */
  title: string;
  /** The HTTP status, the same as the response's. */
  status: number;
  /** This occurrence in words, with what to do. */
  detail: string;
  /** Stable and machine-readable, one of `codes`. */
  code: string;
}
