//! The metrics' names, and their values before anything has happened.
//!
//! Connection metrics follow OpenTelemetry's semantic conventions for database client pools, in Prometheus spelling. No
//! label holds a client, a user or SQL.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use poolgate_pool::CloseReason;
use poolgate_types::{CleanupTrigger, Level};

/// Label `pool` of a server's only pool.
pub(crate) const DEFAULT_POOL: &str = "main";

pub(crate) const CONNECTION_COUNT: &str = "db_client_connection_count";
pub(crate) const CONNECTION_MAX: &str = "db_client_connection_max";
pub(crate) const CONNECTION_IDLE_MAX: &str = "db_client_connection_idle_max";
pub(crate) const CONNECTION_PENDING: &str = "db_client_connection_pending_requests";
pub(crate) const CONNECTION_TIMEOUTS: &str = "db_client_connection_timeouts_total";
pub(crate) const CONNECTION_WAIT_TIME: &str = "db_client_connection_wait_time_seconds";
pub(crate) const CONNECTION_USE_TIME: &str = "db_client_connection_use_time_seconds";
pub(crate) const CONNECTION_CREATE_TIME: &str = "db_client_connection_create_time_seconds";
pub(crate) const CONNECTIONS_OPENED: &str = "poolgate_connections_opened_total";
pub(crate) const CONNECTIONS_CLOSED: &str = "poolgate_connections_closed_total";
pub(crate) const CONNECTIONS_FAILED: &str = "poolgate_connections_failed_total";
pub(crate) const OLDEST_CHECKOUT: &str = "poolgate_oldest_checkout_age_seconds";
pub(crate) const POOL_EFFICIENCY: &str = "poolgate_pool_efficiency_ratio";
pub(crate) const USAGE_RATIO: &str = "poolgate_usage_ratio";
pub(crate) const THROTTLE_LEVEL: &str = "poolgate_throttle_level";
pub(crate) const THROTTLE_LEVEL_SECONDS: &str = "poolgate_throttle_level_seconds_total";
pub(crate) const CIRCUIT_STATE: &str = "poolgate_circuit_state";
pub(crate) const FAIR_RATE: &str = "poolgate_fair_rate_per_second";
pub(crate) const REQUESTS: &str = "poolgate_requests_total";
pub(crate) const CLIENTS: &str = "poolgate_clients";
pub(crate) const CLEANUP_RUNS: &str = "poolgate_cleanup_runs_total";
pub(crate) const CLEANUP_ENDED: &str = "poolgate_cleanup_ended_total";
pub(crate) const FORECAST: &str = "poolgate_forecast_requests_per_second";
pub(crate) const BUILD_INFO: &str = "poolgate_build_info";

/// Ends of a request at the gate: label `outcome` of [`REQUESTS`].
pub(crate) const OUTCOMES: [&str; 3] = ["admitted", "rejected", "quota"];
/// What a cleanup achieved: label `outcome` of [`CLEANUP_RUNS`].
pub(crate) const CLEANUP_OUTCOMES: [&str; 3] = ["freed", "idle_closed", "nothing"];
/// What a cleanup ended: label `what` of [`CLEANUP_ENDED`].
pub(crate) const CLEANUP_ENDS: [&str; 3] = ["lease", "statement", "session"];
/// All levels, in rising order.
pub(crate) const LEVELS: [Level; 4] = [Level::Normal, Level::Moderate, Level::Aggressive, Level::Emergency];

/// Describes every metric and gives each its first value, so that a dashboard finds it from the start; those of opening and
/// closing connections only where that is ours to do and observed, those of the gate only where requests pass it.
pub(crate) fn register(observed: bool, gated: bool) {
    describe_gauge!(CONNECTION_COUNT, "Open connections of the pool, by state");
    describe_gauge!(CONNECTION_MAX, "Connections that the pool may open");
    describe_gauge!(CONNECTION_IDLE_MAX, "Connections that the pool keeps when nobody needs them");
    describe_gauge!(CONNECTION_PENDING, "Callers waiting for a connection");
    describe_counter!(CONNECTION_TIMEOUTS, "Callers that gave up waiting for a connection");
    describe_histogram!(
        CONNECTION_WAIT_TIME,
        Unit::Seconds,
        "From arrival (at the gate, where there is one) until a connection was in hand"
    );
    describe_histogram!(CONNECTION_USE_TIME, Unit::Seconds, "How long connections were in use");
    describe_histogram!(CONNECTION_CREATE_TIME, Unit::Seconds, "How long opening a connection took");
    describe_counter!(CONNECTIONS_OPENED, "Connections that were opened");
    describe_counter!(CONNECTIONS_CLOSED, "Connections that were closed, by reason");
    describe_counter!(CONNECTIONS_FAILED, "Attempts to open a connection that failed");
    describe_gauge!(OLDEST_CHECKOUT, Unit::Seconds, "Age of the oldest checkout; 0 when no connection is in use");
    describe_gauge!(POOL_EFFICIENCY, "Time in use / (time in use + time waited for), of the last minute, 0 to 1");
    describe_gauge!(USAGE_RATIO, "In use / limit, of the pool and of the gate, 0 to 1");
    describe_gauge!(THROTTLE_LEVEL, "0 NORMAL, 1 MODERATE, 2 AGGRESSIVE, 3 EMERGENCY");
    describe_counter!(THROTTLE_LEVEL_SECONDS, "Time spent at each throttling level, in seconds");
    describe_gauge!(CIRCUIT_STATE, "0 closed, 1 half-open, 2 open");
    describe_gauge!(FAIR_RATE, "Requests a second that each client may send; 0 while nothing is limited");
    describe_counter!(REQUESTS, "Requests at the gate, by outcome");
    describe_gauge!(CLIENTS, "Clients that listen for the config");
    describe_counter!(CLEANUP_RUNS, "Cleanups of the pool, by trigger and outcome");
    describe_counter!(CLEANUP_ENDED, "Leases, statements and sessions that cleanups have ended");
    describe_gauge!(FORECAST, "Requests a second that are expected at the horizon (sizing.horizon)");
    describe_gauge!(BUILD_INFO, "1; the version is in the label");

    if observed {
        for name in [CONNECTION_TIMEOUTS, CONNECTIONS_OPENED, CONNECTIONS_FAILED] {
            counter!(name, "pool" => DEFAULT_POOL).absolute(0);
        }
        for reason in CloseReason::ALL {
            counter!(CONNECTIONS_CLOSED, "pool" => DEFAULT_POOL, "reason" => reason.as_str()).absolute(0);
        }
    }
    if gated {
        for outcome in OUTCOMES {
            counter!(REQUESTS, "outcome" => outcome).absolute(0);
        }
    }
    for level in LEVELS {
        counter!(THROTTLE_LEVEL_SECONDS, "level" => level.as_str()).absolute(0);
    }
    for trigger in [CleanupTrigger::Manual, CleanupTrigger::Automatic] {
        for outcome in CLEANUP_OUTCOMES {
            counter!(CLEANUP_RUNS, "trigger" => trigger.as_str(), "outcome" => outcome).absolute(0);
        }
    }
    for what in CLEANUP_ENDS {
        counter!(CLEANUP_ENDED, "what" => what).absolute(0);
    }
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}
