//! What [`Throttle::poll`](crate::Throttle::poll) reports.

use poolgate_types::{CircuitState, Level};

use crate::{Permit, Rejection, RequestId};

/// Something that the caller must act on, or may want to know.
#[derive(Debug)]
#[must_use = "it may hold a permit"]
#[non_exhaustive]
pub enum Event {
    /// Send this queued request now.
    Start(RequestId, Permit),
    /// This queued request will not be sent.
    Rejected(RequestId, Rejection),
    /// Requests fail one after another without contact: fetch the config now, and say what became of it. While it can be
    /// fetched, or is heard of otherwise, the breaker stays closed.
    Ask,
    /// The level is another one.
    LevelChanged {
        /// The level reported before.
        from: Level,
        /// The level now.
        to: Level,
    },
    /// The breaker, the server's verdict and local evidence together, is in another state.
    BreakerChanged {
        /// The state reported before.
        from: CircuitState,
        /// The state now.
        to: CircuitState,
    },
    /// The config has become stale (`true`) or fresh again (`false`).
    StaleChanged(bool),
}

/// What has been said of the state so far. A throttle begins closed, fresh and NORMAL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) level: Level,
    pub(crate) breaker: CircuitState,
    pub(crate) stale: bool,
}

impl Reported {
    /// Comes one event closer to `now`; `None` when there is nothing left to say.
    pub(crate) fn catch_up(&mut self, now: Self) -> Option<Event> {
        let before = *self;
        if before.level != now.level {
            self.level = now.level;
            Some(Event::LevelChanged { from: before.level, to: now.level })
        } else if before.breaker != now.breaker {
            self.breaker = now.breaker;
            Some(Event::BreakerChanged { from: before.breaker, to: now.breaker })
        } else if before.stale != now.stale {
            self.stale = now.stale;
            Some(Event::StaleChanged(now.stale))
        } else {
            None
        }
    }
}
