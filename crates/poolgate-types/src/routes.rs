//! Paths of the HTTP interface.

/// Everything of the health API begins with this.
pub const HEALTH_PREFIX: &str = "/api/v1/health/";
/// Liveness, touches nothing.
pub const PING: &str = "/api/v1/health/ping";
/// The status document.
pub const STATUS: &str = "/api/v1/health/database/status";
/// The config document.
pub const THROTTLING_CONFIG: &str = "/api/v1/health/database/throttling-config";
/// The event stream.
pub const EVENTS: &str = "/api/v1/health/database/events";
/// Asks the database itself, on a connection of its own.
pub const CONNECTION_TEST: &str = "/api/v1/health/database/connection-test";
/// Cleans the pool up.
pub const FORCE_CLEANUP: &str = "/api/v1/health/database/force-cleanup";
/// Process-local liveness.
pub const LIVEZ: &str = "/livez";
/// Process-local readiness.
pub const READYZ: &str = "/readyz";
/// Prometheus text.
pub const METRICS: &str = "/metrics";
/// The OpenAPI document.
pub const OPENAPI: &str = "/api/v1/openapi.json";
