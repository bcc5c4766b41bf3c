//! The activity document: who and what uses the pool, for those who look for a cause.

use serde::{Deserialize, Serialize};

use crate::Percentiles;

/// Routes, connections in use and clients, each list with the worst first. It is made once a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Activity {
    /// Length of the window of the routes' figures in seconds.
    pub window_seconds: u32,
    /// The routes that were asked for in the window, those first that used the pool most; at most 32. `everything else`
    /// stands for routes without a place of their own, and for work outside of requests.
    pub routes: Vec<RouteActivity>,
    /// The connections in use, the oldest first; at most 20. Empty where the pool is not Poolgate's own.
    pub leases: Vec<LeaseActivity>,
    /// The clients that receive the config, those first that have been without the newest for the longest; at most 20.
    pub clients: Vec<ClientActivity>,
}

/// What the requests of a route met in the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteActivity {
    /// Method and route (`GET /orders/{id}`), or the first part of the path where the route is unknown.
    pub route: String,
    /// Requests that arrived, including rejected ones.
    pub requests: u64,
    /// Share of the requests, 0 to 1, that were rejected, answered with 5xx, or given up by their client after 5 s
    /// without an answer; null without requests.
    pub error_rate: Option<f64>,
    /// Time from arrival at the gate until the head of the response, within 10 %; null while none was answered.
    pub response_time_ms: Option<Percentiles>,
    /// Time with a connection, of all its requests together, in seconds; null where it is not measured.
    pub connection_seconds: Option<f64>,
    /// The same as a share of the whole pool, 0 to 1.
    pub pool_share: Option<f64>,
}

/// A connection in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaseActivity {
    /// For how long it has been in use, in seconds.
    pub age_seconds: f64,
    /// The route that it was acquired for; null outside a gated request.
    pub route: Option<String>,
    /// The file and line that acquired it.
    pub location: String,
    /// The distributed trace that it belongs to.
    pub trace_id: Option<String>,
}

/// A client that receives the config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClientActivity {
    /// The beginning of its random id; null for one that sends none, and for an address that polls.
    pub id: Option<String>,
    /// Since when its stream has been open, or when the address polled last, RFC 3339 in UTC.
    pub since: String,
    /// Whether it polls instead of keeping a stream open.
    pub polls: bool,
    /// Version of the config that it was sent last; null before the first.
    pub version: Option<u64>,
    /// For how long a newer version has existed that it has not been sent, in seconds; 0 for one that has the newest.
    pub lag_seconds: f64,
}
