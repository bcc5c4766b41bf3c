//! Netflix's concurrency-limits at the server: a limit on requests in flight, learned from how long they take, in front
//! of a pool that hands out its connections first come, first served.

mod gradient2;
mod limit;
mod limiter;
mod vegas;

use poolgate_sim::{
    scenario::Scenario,
    scheme::{Client, Limiter, Publisher, Scheme},
    schemes::{Silence, Unthrottled},
};

use self::{gradient2::Gradient2, limit::Windowed, limiter::Concurrency, vegas::Vegas};

/// How many requests the library's blocking limiter lets wait for their turn.
const BACKLOG: usize = 100;

/// One of the library's limits with its settings.
pub(crate) struct Netflix {
    name: &'static str,
    about: &'static str,
    limiter: fn(connections: u32) -> Box<dyn Limiter>,
}

impl Netflix {
    /// The defaults, as the library's manual puts them together for a server.
    pub(crate) const GRADIENT2: Self = Self {
        name: "gradient2",
        about: "Netflix Gradient2 at the server, 20 to 200 in flight",
        limiter: |connections| Box::new(Concurrency::new(Windowed::new(Gradient2::DEFAULT), connections, 0)),
    };
    /// Never more in flight than the pool has connections, and the library's backlog, newest first.
    pub(crate) const GRADIENT2_TUNED: Self = Self {
        name: "gradient2-tuned",
        about: "Netflix Gradient2, at most the pool in flight, LIFO backlog",
        limiter: |connections| {
            let law = Windowed::new(Gradient2::between(1, connections));
            Box::new(Concurrency::new(law, connections, BACKLOG))
        },
    };
    /// The library's own default.
    pub(crate) const VEGAS: Self = Self {
        name: "vegas",
        about: "Netflix Vegas at the server, up to 1,000 in flight",
        limiter: |connections| Box::new(Concurrency::new(Vegas::standard(), connections, 0)),
    };
    /// Averages instead of single round trips, never more in flight than the pool has connections, and the library's
    /// backlog, newest first.
    pub(crate) const VEGAS_TUNED: Self = Self {
        name: "vegas-tuned",
        about: "Netflix Vegas over averages, at most the pool in flight, LIFO backlog",
        limiter: |connections| {
            let law = Windowed::new(Vegas::between(connections, connections));
            Box::new(Concurrency::new(law, connections, BACKLOG))
        },
    };
}

impl Scheme for Netflix {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter> {
        (self.limiter)(scenario.database.connections)
    }

    fn publisher(&self, _scenario: &Scenario, _epoch: u64) -> Box<dyn Publisher> {
        Box::new(Silence)
    }

    fn client(&self, _scenario: &Scenario, _seed: u64) -> Box<dyn Client> {
        Box::new(Unthrottled)
    }
}
