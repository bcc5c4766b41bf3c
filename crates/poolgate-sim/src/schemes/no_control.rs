//! No control at all: what every scheme is compared with.

use std::time::Duration;

use poolgate_control::Sample;

use super::{fifo::Fifo, unthrottled::Unthrottled};
use crate::{
    scenario::Scenario,
    scheme::{Client, Limiter, Message, Occupancy, Orders, Publisher, Scheme, Tell},
};

/// A pool with its usual timeout of 30 seconds, and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct NoControl;

impl Scheme for NoControl {
    fn name(&self) -> &'static str {
        "none"
    }

    fn about(&self) -> &'static str {
        "no control: the pool's own queue, 30 s"
    }

    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter> {
        Box::new(Fifo::new(scenario.database.connections, 100_000, Duration::from_secs(30)))
    }

    fn publisher(&self, _scenario: &Scenario, _epoch: u64) -> Box<dyn Publisher> {
        Box::new(Silence)
    }

    fn client(&self, _scenario: &Scenario, _seed: u64) -> Box<dyn Client> {
        Box::new(Unthrottled)
    }
}

/// A publisher that tells the clients nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silence;

impl Publisher for Silence {
    fn tick(&mut self, _sample: &Sample, _occupancy: &Occupancy, _now: Duration, _tell: &mut Tell) -> Orders {
        Orders::default()
    }

    fn current(&mut self, _client: u32) -> Option<Message> {
        None
    }
}
