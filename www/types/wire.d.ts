// The documents that the page reads.
// Written by `cargo xtask contract` from the Rust types. Do not edit.

import type { CircuitState, CleanupReport, Health, ThrottlingConfig, ThrottlingLevel } from "../pkg/index.js";
export type { CircuitState, CleanupReport, Health, ThrottlingConfig, ThrottlingLevel };

/** How urgent an alert is. */
export type Severity = "info" | "warning" | "critical";

/** Percentiles in milliseconds. */
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
  /** Admitted requests since the start that were answered, and not with 5xx. */
  succeeded_total: number;
  /**
   * Admitted requests since the start that were answered with 5xx, or given up by their client after 5 s without an
   * answer.
   */
  failed_total: number;
  /**
   * For how long requests have been in flight without any of them being answered, in seconds; null while none is in
   * flight.
   */
  unanswered_seconds: number | null;
  /** Connections in use or waited for, per request in flight; absent unless a source behind the app shows them. */
  connections_per_request: number | null;
  /** Database transactions per completed request; absent unless a source behind the app counts them. */
  transactions_per_request: number | null;
  /** Beginnings of paths whose requests seem to use no connection, for `gate.bypass`; absent while there are none. */
  bypass_candidates: string[];
}

/** Requests and waits of the last `window_seconds`. */
export interface Performance {
  /** Length of the window in seconds. */
  window_seconds: number;
  /** Requests that arrived, including rejected ones; null where the watched source does not report them. */
  requests: number | null;
  /**
   * Share of the requests, 0 to 1, that were rejected, answered with 5xx, or given up by their client after 5 s
   * without an answer; null without requests or without a gate.
   */
  error_rate: number | null;
  response_time_ms: Percentiles | null;
  acquire_wait_ms: Percentiles | null;
  /**
   * Use time / (use time + wait time) of connections, 0 to 1; null while none was in use, or where it is not
   * measured.
   */
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

/** Whose config a replica serves. */
export type ConfigSource = "none" | "shared" | "own";

/** What a replica is doing. */
export type MemberState = "joining" | "serving" | "draining";

/** One replica. */
export interface ClusterMember {
  /** Eight hexadecimal digits, new at each start. */
  replica: string;
  /** What it is doing. */
  state: MemberState;
  /** Connections granted to its pool; null for none yet. */
  share: number | null;
  /** Connections that its pool has. */
  connections: number;
  /** Whether it reaches the database. */
  reaches_database: boolean;
  /** Whether it publishes the config for all. */
  publishes: boolean;
  /** Time since it was last heard, in seconds. */
  silent_seconds: number;
}

/** The replicas that share a database, as the one that is asked knows them. */
export interface ClusterStatus {
  /** The replica that is asked: eight hexadecimal digits, new at each start. */
  replica: string;
  /** Whose config it serves. */
  config: ConfigSource;
  /** Connections that its pool may have now. */
  share: number;
  /** `true`: the share is not agreed with the others, because the store cannot be used or has no place. */
  is_static: boolean;
  /** Why the store cannot be used; null while it can. */
  store_trouble: string | null;
  /** All replicas that are heard, the one that is asked included, by id. */
  members: ClusterMember[];
}

/** A request that the app failed to answer. */
export interface UpstreamFailure {
  /** How it failed: an error of `Proxy-Status` (RFC 9209), such as `connection_refused`. */
  kind: string;
  /** Time since then, in seconds. */
  seconds_ago: number;
}

/** The app behind a gateway, and what goes through to it. */
export interface GatewayStatus {
  /** Where the app listens: `http://host:port` or `unix:/path`. */
  upstream: string;
  /** Why the app cannot be used; null while it can. */
  trouble: string | null;
  /** Requests since the start that the app has answered, with any status. */
  answered_total: number;
  /** Requests since the start that the app failed to answer: their clients got 502 or 504. */
  failed_total: number;
  last_failure: UpstreamFailure | null;
  /** Open event streams and WebSockets. */
  streams: number;
  /** How many of them may be open. */
  max_streams: number;
  /** Bytes of answers that were taken from the app and wait for their readers. */
  buffered_bytes: number;
  /** Permits that stay with the app's work for clients that have left. */
  lingering_permits: number;
}

/** The pool usage from which alerts are raised, in percent. */
export interface UsageThresholds {
  /** From here an alert of severity `info`. */
  info_percent: number;
  /** From here an alert of severity `warning`. */
  warning_percent: number;
  /** From here an alert of severity `critical`. */
  critical_percent: number;
}

/** One snapshot of pool, gate and limits. */
export interface Status {
  /** How full the pool is, and whether the database works without restriction. */
  health: Health;
  /** How strongly clients are limited. */
  throttling_level: ThrottlingLevel;
  /** Since when the level has been this one, RFC 3339 in UTC. */
  level_since: string;
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
  cluster: ClusterStatus | null;
  gateway: GatewayStatus | null;
  /** The fair rate in force, in requests per second per client. */
  fair_rate_per_second: number | null;
  /** Version of the config in force. */
  config_version: number;
  /** The pool usage from which alerts are raised. */
  thresholds: UsageThresholds;
  /** Version of the server. */
  server_version: string;
  /**
   * When the server was started, RFC 3339 in UTC. Another value than before means another process: all totals begin
   * anew.
   */
  started_at: string;
  /** When the snapshot was taken, RFC 3339 in UTC. */
  sampled_at: string;
}

/** What the requests of a route met in the window. */
export interface RouteActivity {
  /** Method and route (`GET /orders/{id}`), or the first part of the path where the route is unknown. */
  route: string;
  /** Requests that arrived, including rejected ones. */
  requests: number;
  /**
   * Share of the requests, 0 to 1, that were rejected, answered with 5xx, or given up by their client after 5 s
   * without an answer; null without requests.
   */
  error_rate: number | null;
  response_time_ms: Percentiles | null;
  /** Time with a connection, of all its requests together, in seconds; null where it is not measured. */
  connection_seconds: number | null;
  /** The same as a share of the whole pool, 0 to 1. */
  pool_share: number | null;
}

/** A connection in use. */
export interface LeaseActivity {
  /** For how long it has been in use, in seconds. */
  age_seconds: number;
  /** The route that it was acquired for; null outside a gated request. */
  route: string | null;
  /** The file and line that acquired it. */
  location: string;
  /** The distributed trace that it belongs to. */
  trace_id: string | null;
}

/** A client that receives the config. */
export interface ClientActivity {
  /** The beginning of its random id; null for one that sends none, and for an address that polls. */
  id: string | null;
  /** Since when its stream has been open, or when the address polled last, RFC 3339 in UTC. */
  since: string;
  /** Whether it polls instead of keeping a stream open. */
  polls: boolean;
  /** Version of the config that it was sent last; null before the first. */
  version: number | null;
  /** For how long a newer version has existed that it has not been sent, in seconds; 0 for one that has the newest. */
  lag_seconds: number;
}

/** Routes, connections in use and clients, each list with the worst first. It is made once a second. */
export interface Activity {
  /** Length of the window of the routes' figures in seconds. */
  window_seconds: number;
  /**
   * The routes that were asked for in the window, those first that used the pool most; at most 32. `everything else`
   * stands for routes without a place of their own, and for work outside of requests.
   */
  routes: RouteActivity[];
  /** The connections in use, the oldest first; at most 20. Empty where the pool is not Poolgate's own. */
  leases: LeaseActivity[];
  /** The clients that receive the config, those first that have been without the newest for the longest; at most 20. */
  clients: ClientActivity[];
}

/** One step: the worst moment in it of levels, gauges and waits, and the mean of rates. */
export interface HistorySample {
  /** The beginning of the step, RFC 3339 in UTC. */
  at: string;
  /** How strongly clients were limited. */
  throttling_level: ThrottlingLevel;
  /** State of the circuit breaker. */
  circuit_breaker: CircuitState;
  /** Connections in use. */
  checked_out: number;
  /** Open connections, in use or not. */
  open: number;
  /** Connections that may exist. */
  capacity: number;
  /** Requests that wait for a permit or a connection; null where the source does not report them. */
  waiting: number | null;
  /** 95th percentile of the wait for a connection over the minute before, in milliseconds; null where it is not measured. */
  acquire_wait_p95_ms: number | null;
  /** 99th percentile of the same. */
  acquire_wait_p99_ms: number | null;
  /** Requests per second that the gate admitted; null without a gate, as for the next three. */
  admitted_per_second: number | null;
  /** Requests per second that the gate rejected, those over a quota included. */
  rejected_per_second: number | null;
  /** Admitted requests per second that were answered, and not with 5xx. */
  succeeded_per_second: number | null;
  /**
   * Admitted requests per second that were answered with 5xx, or given up by their client after 5 s without an
   * answer.
   */
  failed_per_second: number | null;
}

/** Something that happened. */
export interface HistoryEvent {
  /** When, RFC 3339 in UTC. */
  at: string;
  /** What it was. */
  kind: string;
  /** What was before, and what is after it (`NORMAL`, `open`, `warning`); null where nothing has the word. */
  from: string | null;
  /** As `from`, after it. */
  to: string | null;
  /** The reason, or what happened, in words. */
  text: string;
}

/** The last minutes or hours, oldest first. */
export interface History {
  /** Seconds from one sample to the next. Where the server could not sample, samples are missing. */
  step_seconds: number;
  /** The samples. */
  samples: HistorySample[];
  /** What happened in the same time. */
  events: HistoryEvent[];
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
