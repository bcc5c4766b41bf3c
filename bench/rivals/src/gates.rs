//! Gates at the server alone: the clients hear nothing and obey nothing.

use std::time::Duration;

use poolgate_sim::{
    scenario::Scenario,
    scheme::{Client, Limiter, Publisher, Scheme},
    schemes::{Fifo, PoolgateGate, Silence, Unthrottled},
};

/// A first-in-first-out gate with half a second of patience, as the seed's backend had.
#[derive(Debug)]
pub(crate) struct FifoGate;

/// Poolgate's gate without its clients.
#[derive(Debug)]
pub(crate) struct CodelGate;

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
        Box::new(PoolgateGate::new(scenario))
    }

    fn publisher(&self, _scenario: &Scenario, _epoch: u64) -> Box<dyn Publisher> {
        Box::new(Silence)
    }

    fn client(&self, _scenario: &Scenario, _seed: u64) -> Box<dyn Client> {
        Box::new(Unthrottled)
    }
}
