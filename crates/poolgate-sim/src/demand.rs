//! When a wish comes and whose it is: a Poisson process whose rate follows the scenario.

use std::time::Duration;

use crate::{
    random::{Random, seconds},
    scenario::Scenario,
};

#[derive(Debug)]
pub(crate) struct Demand {
    random: Random,
    clients: usize,
    /// Number of clients that want more than the others (the lowest numbers), and the chance that a wish is theirs.
    heavy: usize,
    heavy_chance: f64,
    highest: f64,
}

impl Demand {
    pub(crate) fn new(scenario: &Scenario, random: Random) -> Self {
        let clients = scenario.clients as usize;
        let heavy = heavy_clients(scenario);
        let (theirs, others) = (heavy as f64 * scenario.users.heavy_factor, (clients - heavy) as f64);
        let heavy_chance = theirs / (theirs + others).max(f64::MIN_POSITIVE);
        Self { random, clients, heavy, heavy_chance, highest: scenario.peak_load() * scenario.capacity() }
    }

    /// When the next wish comes. Thinning: wishes are drawn at the highest load, and dropped where the load is lower.
    pub(crate) fn next(&mut self, scenario: &Scenario, mut now: Duration) -> Option<Duration> {
        if self.highest <= 0.0 {
            return None;
        }
        while now < scenario.length() {
            now += self.random.interval(self.highest).max(seconds(1e-9));
            let load = scenario.load_at(now.as_secs_f64()) * scenario.capacity();
            if self.random.unit() * self.highest < load {
                return Some(now);
            }
        }
        None
    }

    /// Whose wish it is.
    pub(crate) fn who(&mut self) -> u32 {
        let heavy = self.heavy > 0 && self.random.unit() < self.heavy_chance;
        let number = if heavy || self.heavy == self.clients {
            self.random.below(self.heavy)
        } else {
            self.heavy + self.random.below(self.clients - self.heavy)
        };
        number as u32
    }
}

/// Number of clients that want more than the others.
pub(crate) fn heavy_clients(scenario: &Scenario) -> usize {
    (f64::from(scenario.clients) * scenario.users.heavy_share).round() as usize
}
