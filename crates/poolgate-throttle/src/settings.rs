//! What the app may choose about its queue.

use std::time::Duration;

/// The app's choices; the server decides everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Maximum number of queued requests. Default 256; 0 rejects every request that cannot start at once.
    pub max_queue: usize,
    /// Maximum time in the queue; then the request is rejected with
    /// [`QueueTimeout`](crate::RejectReason::QueueTimeout). [`Request::queue_timeout`](crate::Request::queue_timeout)
    /// overrides it. Default 10 s, at most an hour.
    pub queue_timeout: Duration,
    /// Order of requests of equal [priority](crate::Priority). Default: newest first under overload.
    pub order: Order,
}

/// Order of requests of equal [priority](crate::Priority).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// In order of arrival, but newest first under overload: while a rate is in force and the oldest request has waited
    /// longer than 100 ms plus the lesser of 1 s and a quarter of its maximum wait. Starts then go to users who still
    /// wait; requests that would have been late anyway time out.
    #[default]
    NewestUnderOverload,
    /// Always in order of arrival, for apps whose requests depend on each other.
    Arrival,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_queue: 256, queue_timeout: Duration::from_secs(10), order: Order::default() }
    }
}
