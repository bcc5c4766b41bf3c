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

/** The connection pool. All counters are read under one lock. */
export interface PoolStatus {
  /** The kind of database. */
  backend: Backend;
  /** Connections that stay open. */
  pool_size: number;
  /** Connections that may be opened in addition. */
  max_overflow: number;
  /** `pool_size + max_overflow`. */
  capacity: number;
  /** Connections in use. */
  checked_out: number;
  /** Open connections that are not in use. */
  idle: number;
  /** Open or opening connections above `pool_size`. */
  overflow: number;
  /** Connections being opened. */
  connecting: number;
  /** Connections that can be acquired without waiting for a return: `capacity - checked_out - connecting`. */
  available: number;
  /** Callers that wait for a connection; null where the source does not report them. */
  waiting: number | null;
  /** `checked_out / capacity` in percent. */
  usage_percent: number;
  /** Generation of the pool, raised by each disposal; connections of older generations are closed on return. */
  generation: number;
  /** Age of the oldest checkout in seconds. */
  oldest_checkout_seconds: number | null;
}

/** The gate in front of the pool. */
export interface GateStatus {
  /** Maximum number of requests in flight through the gate. */
  max_concurrent_requests: number;
  /** Requests in flight. */
  in_flight: number;
  /** Requests queued for a permit. */
  waiting: number;
  /** `in_flight / max_concurrent_requests` in percent. */
  usage_percent: number;
  /** Requests admitted since the start. */
  admitted_total: number;
  /** Requests rejected since the start. */
  rejected_total: number;
}

/** Requests and waits of the last `window_seconds`. */
export interface Performance {
  /** Length of the window in seconds. */
  window_seconds: number;
  /** Requests that arrived, including rejected ones; null where the watched source does not report them. */
  requests: number | null;
  /** Share of the requests, 0 to 1, that were rejected or answered with 5xx; null without a gate. */
  error_rate: number | null;
  response_time_ms: Percentiles | null;
  acquire_wait_ms: Percentiles | null;
  /** Use time / (use time + wait time) of connections, 0 to 1; 1 without requests, null where it is not measured. */
  pool_efficiency: number | null;
}

/** The clients that receive the config: open streams, and addresses that polled within its `ttl_seconds`. */
export interface Clients {
  /** Number of clients. */
  live: number;
  /** Number of clients that have been sent the current version. */
  in_sync: number;
}

/** An alert that is active. */
export interface Alert {
  /** What the alert is about. */
  kind: string;
  /** How urgent it is. */
  severity: Severity;
  /** What is wrong, with the figure. */
  message: string;
  /** When it was raised, RFC 3339 in UTC. */
  since: string;
}

/** Expected demand. */
export interface Forecast {
  /** How far ahead, in seconds. */
  horizon_seconds: number;
  /** Requests per second expected at that time. */
  arrivals_per_second: number;
}

/** One snapshot of pool, gate and limits. */
export interface Status {
  /** How full the pool is, and whether the database works without restriction. */
  health: Health;
  /** How strongly clients are limited. */
  throttling_level: ThrottlingLevel;
  /** `true`: the level is EMERGENCY. */
  emergency_mode_active: boolean;
  /** State of the circuit breaker. */
  circuit_breaker: CircuitState;
  /** The connection pool. */
  pool: PoolStatus;
  gate: GateStatus | null;
  /** Requests and waits of the last seconds. */
  performance: Performance;
  /** The clients that receive the config. */
  clients: Clients;
  last_cleanup: CleanupReport | null;
  /** The alerts that are active now. */
  alerts: Alert[];
  forecast: Forecast | null;
  /** The fair rate in force, in requests per second per client. */
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
  /** `true`: each user runs the throttle engine. `false`: each user sends without limits. */
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
  /** Requests that users tried to send. */
  wanted: number;
  /** Requests that were sent. */
  sent: number;
  /** Requests answered with 2xx within `PATIENCE_SECONDS`. */
  succeeded: number;
  /** Requests that the gate answered with 503 or 429. */
  rejected: number;
  /** Requests that the user's own throttle rejected: queue full, queue timeout or breaker open. */
  given_up: number;
  /** All other requests: late answers, other statuses, network failures. */
  failed: number;
  /** Requests queued in the users' throttles now. */
  queued: number;
  /**
   * succeeded / (succeeded + rejected + failed) over the last 5 seconds, 0 to 1; 1 when nothing ended. Counts only
   * requests that were sent; the others are in `given_up`.
   */
  success_rate: number;
  /** Successful requests per second over the last 5 seconds. */
  goodput_per_second: number;
  /** Latency of the successes of the last 5 seconds, from the moment the user wanted to send, in milliseconds. */
  latency_ms: Percentiles;
}

/** The body of every response that is not a success. */
export interface Problem {
  /** URI of the problem type. */
  type: string;
  /** The problem type in words. */
  title: string;
  /** The HTTP status of the response. */
  status: number;
  /** What went wrong this time, and what to do. */
  detail: string;
  /** Stable, machine-readable code; those that clients act on are in `codes`. */
  code: string;
}
