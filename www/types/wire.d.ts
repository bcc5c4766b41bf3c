// The server's documents as far as the page reads them. `poolgate-types` is their source; the golden documents in
// tests/fixtures keep both in step.

// The package declares the types that the client reads too.
import type { CircuitState, CleanupReport, Health, ThrottlingConfig, ThrottlingLevel as Level } from "../pkg/index.js";
export type { CircuitState, CleanupReport, Health, Level, ThrottlingConfig };

export type Severity = "info" | "warning" | "critical";

export interface Percentiles {
  p50: number;
  p95: number;
  p99: number;
}

export interface PoolStatus {
  backend: "postgres" | "sqlite";
  pool_size: number;
  max_overflow: number;
  capacity: number;
  checked_out: number;
  idle: number;
  overflow: number;
  connecting: number;
  available: number;
  waiting: number | null;
  usage_percent: number;
  generation: number;
  oldest_checkout_seconds: number | null;
}

export interface GateStatus {
  max_concurrent_requests: number;
  in_flight: number;
  waiting: number;
  usage_percent: number;
  admitted_total: number;
  rejected_total: number;
}

export interface Alert {
  kind: string;
  severity: Severity;
  message: string;
  since: string;
}

export interface Status {
  health: Health;
  throttling_level: Level;
  emergency_mode_active: boolean;
  circuit_breaker: CircuitState;
  pool: PoolStatus;
  /** Null if the server only watches. */
  gate: GateStatus | null;
  performance: {
    window_seconds: number;
    requests: number | null;
    error_rate: number | null;
    response_time_ms: Percentiles | null;
    acquire_wait_ms: Percentiles | null;
    pool_efficiency: number | null;
  };
  clients: { live: number; in_sync: number };
  last_cleanup: CleanupReport | null;
  alerts: Alert[];
  fair_rate_per_second: number | null;
  config_version: number;
  sampled_at: string;
}

export interface LoadRequest {
  users: number;
  requests_per_second: number;
  hold_ms: number;
  poolgate: boolean;
  seconds: number;
}

export interface LoadReport {
  state: "idle" | "running" | "ended";
  request: LoadRequest | null;
  elapsed_seconds: number;
  wanted: number;
  sent: number;
  succeeded: number;
  rejected: number;
  given_up: number;
  failed: number;
  queued: number;
  success_rate: number;
  goodput_per_second: number;
  latency_ms: Percentiles;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
}
