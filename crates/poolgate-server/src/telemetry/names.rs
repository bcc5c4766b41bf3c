//! The metrics' names and initial values.
//!
//! Connection metrics follow OpenTelemetry's semantic conventions for database client pools, in Prometheus spelling. No
//! label contains a client, a user or SQL.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use poolgate_pool::CloseReason;
use poolgate_types::{AlertKind, CleanupTrigger, Level};

/// Label `pool` of the server's only pool.
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
pub(crate) const FAILED_REQUESTS: &str = "poolgate_failed_requests_total";
pub(crate) const ALERT_SEVERITY: &str = "poolgate_alert_severity";
pub(crate) const CLIENTS: &str = "poolgate_clients";
pub(crate) const CLEANUP_RUNS: &str = "poolgate_cleanup_runs_total";
pub(crate) const CLEANUP_ENDED: &str = "poolgate_cleanup_ended_total";
pub(crate) const CONNECTIONS_PER_REQUEST: &str = "poolgate_connections_per_request";
pub(crate) const TRANSACTIONS_PER_REQUEST: &str = "poolgate_transactions_per_request";
pub(crate) const FORECAST: &str = "poolgate_forecast_requests_per_second";
pub(crate) const RELOAD_SUCCESSFUL: &str = "poolgate_config_reload_successful";
pub(crate) const RELOAD_TIME: &str = "poolgate_config_reload_success_timestamp_seconds";
pub(crate) const CLUSTER_REPLICAS: &str = "poolgate_cluster_replicas";
pub(crate) const CLUSTER_SHARE: &str = "poolgate_cluster_share_connections";
pub(crate) const CLUSTER_STATIC: &str = "poolgate_cluster_static";
pub(crate) const CLUSTER_PUBLISHES: &str = "poolgate_cluster_publishes";
pub(crate) const BUILD_INFO: &str = "poolgate_build_info";

/// Outcomes of requests at the gate: label `outcome` of [`REQUESTS`].
pub(crate) const OUTCOMES: [&str; 3] = ["admitted", "rejected", "quota"];
/// Results of cleanups: label `outcome` of [`CLEANUP_RUNS`].
pub(crate) const CLEANUP_OUTCOMES: [&str; 3] = ["freed", "idle_closed", "nothing"];
/// What a cleanup ended: label `what` of [`CLEANUP_ENDED`].
pub(crate) const CLEANUP_ENDS: [&str; 3] = ["lease", "statement", "session"];
/// All levels, in rising order.
pub(crate) const LEVELS: [Level; 4] = [Level::Normal, Level::Moderate, Level::Aggressive, Level::Emergency];

/// Describes the metrics of a server that shares its database with others.
pub(crate) fn register_cluster() {
    describe_gauge!(CLUSTER_REPLICAS, "Replicas that share the database, as this one hears them");
    describe_gauge!(CLUSTER_SHARE, "Connections that this replica's pool may have");
    describe_gauge!(CLUSTER_STATIC, "1 while the share is not agreed with the others: no store, or no place in it");
    describe_gauge!(CLUSTER_PUBLISHES, "1 on the replica that publishes the config for all");
}

/// Describes every metric and sets its first value, so that dashboards find it from the start. Metrics of opening and
/// closing connections exist only for an observed pool of our own, metrics of the gate only if requests pass through
/// it.
pub(crate) fn register(observed: bool, gated: bool) {
    describe_gauge!(CONNECTION_COUNT, "Open connections of the pool, by state");
    describe_gauge!(CONNECTION_MAX, "Connections that the pool may open");
    describe_gauge!(CONNECTION_IDLE_MAX, "Connections that the pool keeps open when idle");
    describe_gauge!(CONNECTION_PENDING, "Callers waiting for a connection");
    describe_counter!(CONNECTION_TIMEOUTS, "Callers that gave up waiting for a connection");
    describe_histogram!(
        CONNECTION_WAIT_TIME,
        Unit::Seconds,
        "Time from arrival (at the gate, if there is one) until a connection was acquired"
    );
    describe_histogram!(CONNECTION_USE_TIME, Unit::Seconds, "Time that connections were in use");
    describe_histogram!(CONNECTION_CREATE_TIME, Unit::Seconds, "Time to open a connection");
    describe_counter!(CONNECTIONS_OPENED, "Connections that were opened");
    describe_counter!(CONNECTIONS_CLOSED, "Connections that were closed, by reason");
    describe_counter!(CONNECTIONS_FAILED, "Attempts to open a connection that failed");
    describe_gauge!(OLDEST_CHECKOUT, Unit::Seconds, "Age of the oldest checkout; 0 when there is none");
    describe_gauge!(
        POOL_EFFICIENCY,
        "Use time / (use time + wait time) of connections over the last minute, 0 to 1; 1 without use"
    );
    describe_gauge!(USAGE_RATIO, "Usage / limit, of the pool and of the gate, 0 to 1");
    describe_gauge!(THROTTLE_LEVEL, "0 NORMAL, 1 MODERATE, 2 AGGRESSIVE, 3 EMERGENCY");
    describe_counter!(THROTTLE_LEVEL_SECONDS, "Time spent at each throttling level, in seconds");
    describe_gauge!(CIRCUIT_STATE, "0 closed, 1 half-open, 2 open");
    describe_gauge!(FAIR_RATE, "Requests per second that each client may send; 0 without a limit");
    describe_counter!(REQUESTS, "Requests at the gate, by outcome");
    describe_counter!(FAILED_REQUESTS, "Requests that the gate admitted and that were answered with 5xx");
    describe_gauge!(ALERT_SEVERITY, "Poolgate's own alerts, by kind: 0 not active, 1 info, 2 warning, 3 critical");
    describe_gauge!(CLIENTS, "Clients that receive the config");
    describe_counter!(CLEANUP_RUNS, "Cleanups of the pool, by trigger and outcome");
    describe_counter!(CLEANUP_ENDED, "Leases, statements and sessions ended by cleanups");
    describe_gauge!(CONNECTIONS_PER_REQUEST, "Connections in use or waited for, per request in flight");
    describe_gauge!(TRANSACTIONS_PER_REQUEST, "Database transactions per completed request");
    describe_gauge!(FORECAST, "Requests per second expected at the horizon (sizing.horizon)");
    describe_gauge!(RELOAD_SUCCESSFUL, "1: the newest settings are in force; 0: the newest reload failed");
    describe_gauge!(RELOAD_TIME, Unit::Seconds, "When settings were last read without error, as Unix time");
    describe_gauge!(BUILD_INFO, "Always 1; the version is a label");

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
        counter!(FAILED_REQUESTS).absolute(0);
    }
    for kind in AlertKind::ALL {
        gauge!(ALERT_SEVERITY, "kind" => kind.as_str()).set(0.0);
    }
    for level in LEVELS {
        counter!(THROTTLE_LEVEL_SECONDS, "level" => level.as_str()).absolute(0);
    }
    for trigger in [CleanupTrigger::Manual, CleanupTrigger::Client, CleanupTrigger::Automatic] {
        for outcome in CLEANUP_OUTCOMES {
            counter!(CLEANUP_RUNS, "trigger" => trigger.as_str(), "outcome" => outcome).absolute(0);
        }
    }
    for what in CLEANUP_ENDS {
        counter!(CLEANUP_ENDED, "what" => what).absolute(0);
    }
    reloaded(true);
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Notes how reading the settings went.
pub(crate) fn reloaded(successfully: bool) {
    gauge!(RELOAD_SUCCESSFUL).set(if successfully { 1.0 } else { 0.0 });
    if successfully {
        gauge!(RELOAD_TIME).set(jiff::Timestamp::now().as_second() as f64);
    }
}
