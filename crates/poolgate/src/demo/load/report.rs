//! What a load is asked for and what it reports: the documents of `/api/v1/lab/load`.

use poolgate_types::Percentiles;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::demo::whole::number;

/// Starts native users that call the gated `lab/hold` route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "users": 1, "requests_per_second": 1.0, "hold_ms": 10, "poolgate": true, "seconds": 1 }))]
#[serde(deny_unknown_fields)]
pub struct LoadRequest {
    /// How many users, 1 to 2,000.
    #[schema(minimum = 1, maximum = 2000)]
    #[serde(deserialize_with = "number")]
    pub users: u32,
    /// What all of them together want to send, requests a second, 0.1 to 10,000.
    #[schema(minimum = 0.1, maximum = 10000)]
    pub requests_per_second: f64,
    /// How long each request holds a connection, 0 to 10,000 ms.
    #[schema(maximum = 10000)]
    #[serde(deserialize_with = "number")]
    pub hold_ms: u32,
    /// `true`: each user runs the throttle engine. `false`: each user sends without limits.
    pub poolgate: bool,
    /// How long the load runs, 1 to 600 seconds.
    #[schema(minimum = 1, maximum = 600)]
    #[serde(deserialize_with = "number")]
    pub seconds: u32,
}

/// What the load driver sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoadReport {
    /// Whether a load is running.
    pub state: LoadState,
    /// The load that was ordered; absent before the first one.
    pub request: Option<LoadRequest>,
    /// Seconds since the load began.
    pub elapsed_seconds: f64,
    /// Requests that users tried to send.
    pub wanted: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// Requests answered with 2xx within [`LoadReport::PATIENCE_SECONDS`].
    pub succeeded: u64,
    /// Requests that the gate answered with 503 or 429.
    pub rejected: u64,
    /// Requests that the user's own throttle rejected: queue full, queue timeout or breaker open.
    pub given_up: u64,
    /// All other requests: late answers, other statuses, network failures.
    pub failed: u64,
    /// Requests queued in the users' throttles now.
    pub queued: u64,
    /// succeeded / (succeeded + rejected + failed) over the last 5 seconds, 0 to 1; 1 when nothing ended. Counts only
    /// requests that were sent; the others are in `given_up`.
    pub success_rate: f64,
    /// Successful requests per second over the last 5 seconds.
    pub goodput_per_second: f64,
    /// Latency of the successes of the last 5 seconds, from the moment the user wanted to send, in milliseconds.
    pub latency_ms: Percentiles,
}

impl LoadReport {
    /// How long a user waits for an answer, in seconds.
    pub const PATIENCE_SECONDS: u32 = 10;
}

/// Whether a load is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoadState {
    /// No load has been started yet.
    Idle,
    /// Users are sending.
    Running,
    /// The last load has ended; its final figures stay.
    Ended,
}
