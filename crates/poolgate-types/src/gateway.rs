//! The part of the status about the app behind a gateway.

use serde::{Deserialize, Serialize};

/// The app behind a gateway, and what goes through to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GatewayStatus {
    /// Where the app listens: `http://host:port` or `unix:/path`.
    pub upstream: String,
    /// Why the app cannot be used; null while it can.
    pub trouble: Option<String>,
    /// Requests since the start that the app has answered, with any status.
    pub answered_total: u64,
    /// Requests since the start that the app failed to answer: their clients got 502 or 504.
    pub failed_total: u64,
    /// The last of these failures; null before the first.
    pub last_failure: Option<UpstreamFailure>,
    /// Open event streams and WebSockets.
    pub streams: u32,
    /// How many of them may be open.
    pub max_streams: u32,
    /// Bytes of answers that were taken from the app and wait for their readers.
    pub buffered_bytes: u64,
    /// Permits that stay with the app's work for clients that have left.
    pub lingering_permits: u32,
}

/// A request that the app failed to answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpstreamFailure {
    /// How it failed: an error of `Proxy-Status` (RFC 9209), such as `connection_refused`.
    pub kind: String,
    /// Time since then, in seconds.
    pub seconds_ago: f64,
}
