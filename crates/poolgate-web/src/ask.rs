//! What one request asks of the throttle.

use std::time::Duration;

use poolgate_throttle::{Priority, Request};

/// What one request asks for. The default has normal priority and waits at most as long as the client's option says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// How important the request is compared with others of this client.
    pub priority: Priority,
    /// Maximum time in the queue, at most an hour; zero: it starts at once or is rejected. `None`: the client's
    /// [option](crate::Builder::queue_timeout).
    pub queue_timeout: Option<Duration>,
    /// It starts at once, even if limits are in force.
    pub bypass: bool,
    /// How often it is repeated after a failure, at most 5. `None`: the client's [option](crate::Builder::retries), where
    /// the conditions are too.
    pub retries: Option<u32>,
}

impl Ask {
    /// A request of this priority.
    pub fn of(priority: Priority) -> Self {
        Self { priority, ..Self::default() }
    }

    pub(crate) fn request(&self) -> Request {
        Request { priority: self.priority, queue_timeout: self.queue_timeout, bypass: self.bypass }
    }
}

impl From<Priority> for Ask {
    fn from(priority: Priority) -> Self {
        Self::of(priority)
    }
}
