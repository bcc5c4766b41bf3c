//! What [`Throttle::poll`](crate::Throttle::poll) reports.

use poolgate_types::{CircuitState, Level};

use crate::request::{Permit, Rejection, RequestId};

/// An event that the caller must act on or may want to know.
#[derive(Debug)]
#[must_use = "it may hold a permit"]
#[non_exhaustive]
pub enum Event {
    /// Send this queued request now.
    Start(RequestId, Permit),
    /// This queued request will not be sent.
    Rejected(RequestId, Rejection),
    /// Requests in a row had no contact: fetch the config now and report the result. The breaker stays closed while the
    /// config can be fetched or news arrives another way.
    Ask,
    /// The level has changed.
    LevelChanged {
        /// The previously reported level.
        from: Level,
        /// The level now.
        to: Level,
    },
    /// The breaker (server's verdict and local evidence together) has changed.
    BreakerChanged {
        /// The previously reported state.
        from: CircuitState,
        /// The state now.
        to: CircuitState,
    },
    /// The config has become stale (`true`) or fresh again (`false`).
    StaleChanged(bool),
}

/// The state as reported so far. A throttle starts closed, fresh and NORMAL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) level: Level,
    pub(crate) breaker: CircuitState,
    pub(crate) stale: bool,
}

impl Reported {
    /// Takes over one difference to `now` and reports it; `None` when there is no difference left.
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
