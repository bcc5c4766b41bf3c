//! The rules that Poolgate grew out of, unchanged: four fixed rows by the pool's usage, polled every 30 seconds.

use std::time::Duration;

use poolgate_control::{Policy, Settings};
use poolgate_sim::{
    scenario::Scenario,
    scheme::{Client, Limiter, Publisher, Scheme, Transport},
    schemes::{Document, Fifo, Throttled},
};
use poolgate_throttle::Order;

pub(crate) struct Seed {
    /// All clients poll at the same moments, as they do after a deployment or an outage.
    pub(crate) together: bool,
}

impl Scheme for Seed {
    fn name(&self) -> &'static str {
        if self.together { "seed-together" } else { "seed" }
    }

    fn about(&self) -> &'static str {
        if self.together {
            "four fixed rows, polled every 30 s, all at once"
        } else {
            "four fixed rows, polled every 30 s"
        }
    }

    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter> {
        Box::new(Fifo::new(scenario.database.connections, 100_000, Duration::from_millis(500)))
    }

    fn publisher(&self, _scenario: &Scenario, epoch: u64) -> Box<dyn Publisher> {
        Box::new(Document::new(Settings::with_policy(Policy::Fixed), epoch))
    }

    fn client(&self, scenario: &Scenario, seed: u64) -> Box<dyn Client> {
        Box::new(Throttled::new(scenario, Order::Arrival, seed))
    }

    fn transport(&self) -> Transport {
        Transport::Poll { seconds: 30.0, together: self.together }
    }
}
