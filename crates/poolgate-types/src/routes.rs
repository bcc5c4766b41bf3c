//! Paths of the HTTP interface.

/// Prefix of the health API.
pub const HEALTH_PREFIX: &str = "/api/v1/health/";
/// Answers without touching pool or database.
pub const PING: &str = "/api/v1/health/ping";
/// The status document.
pub const STATUS: &str = "/api/v1/health/database/status";
/// The config document.
pub const THROTTLING_CONFIG: &str = "/api/v1/health/database/throttling-config";
/// The last minutes or hours.
pub const HISTORY: &str = "/api/v1/health/database/history";
/// Routes, connections in use and clients.
pub const ACTIVITY: &str = "/api/v1/health/database/activity";
/// The event stream.
pub const EVENTS: &str = "/api/v1/health/database/events";
/// Tests the database over a connection of its own.
pub const CONNECTION_TEST: &str = "/api/v1/health/database/connection-test";
/// Runs a cleanup of the pool.
pub const FORCE_CLEANUP: &str = "/api/v1/health/database/force-cleanup";
/// Liveness of the process.
pub const LIVEZ: &str = "/livez";
/// Readiness of the process.
pub const READYZ: &str = "/readyz";
/// Metrics as Prometheus text.
pub const METRICS: &str = "/metrics";
/// The OpenAPI document.
pub const OPENAPI: &str = "/api/v1/openapi.json";
