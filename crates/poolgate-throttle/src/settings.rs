//! What the app may choose about its own queue.

use std::time::Duration;

/// What the app chooses; everything else comes from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Requests that may wait at the same time. Default 256; 0 rejects whatever cannot start at once.
    pub max_queue: usize,
    /// How long a request may wait before it is rejected with [`QueueTimeout`](crate::RejectReason::QueueTimeout),
    /// unless it brings its [own limit](crate::Request::queue_timeout). Default 10 s,
    /// at most an hour.
    pub queue_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_queue: 256, queue_timeout: Duration::from_secs(10) }
    }
}
