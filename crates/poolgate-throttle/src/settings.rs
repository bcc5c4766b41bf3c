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
    /// Who of equal [priority](crate::Priority) starts first. Default: the newest under overload.
    pub order: Order,
}

/// Who of equal [priority](crate::Priority) starts first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// In order of arrival, but the newest first while a rate is in force and the oldest has waited longer than the
    /// lesser of 1 s and a quarter of what it may, plus 100 ms. Starts go to users who still wait for the answer; what
    /// would have been late anyway times out.
    #[default]
    NewestUnderOverload,
    /// Always in order of arrival, for apps whose requests build upon each other.
    Arrival,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_queue: 256, queue_timeout: Duration::from_secs(10), order: Order::default() }
    }
}
