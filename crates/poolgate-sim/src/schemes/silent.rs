//! Schemes that tell the clients nothing.

use std::time::Duration;

use poolgate_control::Sample;

use super::{fifo::Fifo, poolgate::CoDel};
use crate::{
    browser::Unthrottled,
    scenario::Scenario,
    scheme::{Client, Limiter, Message, Occupancy, Orders, Publisher, Scheme, Tell},
};

/// A pool with its usual timeout of 30 seconds, and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct NoControl;

/// A gate with half a second of patience, as the seed's backend had.
pub(super) struct FifoGate;

/// Poolgate's gate without its clients.
pub(super) struct CodelGate;

/// Says nothing.
pub(super) struct Silence;

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

impl Scheme for FifoGate {
    fn name(&self) -> &'static str {
        "fifo-gate"
    }

    fn about(&self) -> &'static str {
        "a gate that lets requests wait 0.5 s in line"
    }

    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter> {
        Box::new(Fifo::new(scenario.database.connections, 100_000, Duration::from_millis(500)))
    }

    fn publisher(&self, _scenario: &Scenario, _epoch: u64) -> Box<dyn Publisher> {
        Box::new(Silence)
    }

    fn client(&self, _scenario: &Scenario, _seed: u64) -> Box<dyn Client> {
        Box::new(Unthrottled)
    }
}

impl Scheme for CodelGate {
    fn name(&self) -> &'static str {
        "codel-gate"
    }

    fn about(&self) -> &'static str {
        "Poolgate's gate (CoDel, newest first) without its clients"
    }

    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter> {
        Box::new(CoDel::new(scenario))
    }

    fn publisher(&self, _scenario: &Scenario, _epoch: u64) -> Box<dyn Publisher> {
        Box::new(Silence)
    }

    fn client(&self, _scenario: &Scenario, _seed: u64) -> Box<dyn Client> {
        Box::new(Unthrottled)
    }
}

impl Publisher for Silence {
    fn tick(&mut self, _sample: &Sample, _occupancy: &Occupancy, _now: Duration, _tell: &mut Tell) -> Orders {
        Orders::default()
    }

    fn current(&mut self, _client: u32) -> Option<Message> {
        None
    }
}
