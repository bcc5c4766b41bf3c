//! Poolgate's publisher on one of several servers, as the server's monitor runs it.

use std::{rc::Rc, time::Duration};

use poolgate_control::{
    Controller, Reachability, Sample, Settings,
    cluster::{Gauges, Said, SharedLaw},
};
use poolgate_types::{ConfigVersion, Level, ThrottlingConfig};

use crate::scheme::{Among, Message, Occupancy, Orders, Publisher, Tell};

/// The law on the figures of all servers, and the controller of this one.
#[derive(Debug)]
pub struct SharedDocument {
    law: SharedLaw,
    own: Controller,
    /// What its clients are told; `None` until the others have been heard.
    said: Option<Rc<ThrottlingConfig>>,
    /// It is not this server's own.
    is_shared: bool,
    orders: Orders,
}

impl SharedDocument {
    /// A server that has just started. `epoch` rises with each start, `seed` is any number of its own.
    pub fn new(settings: &Settings, epoch: u64, seed: u64) -> Self {
        Self {
            law: SharedLaw::new(settings.clone(), epoch, seed),
            own: SharedLaw::alone(settings.clone(), epoch, seed),
            said: None,
            is_shared: false,
            orders: Orders::default(),
        }
    }
}

impl Publisher for SharedDocument {
    fn tick(&mut self, sample: &Sample, _occupancy: &Occupancy, now: Duration, tell: &mut Tell) -> Orders {
        let decision = self.own.tick(sample, now);
        self.say(Some(decision.config), tell);
        self.orders = decision.gate;
        self.orders
    }

    fn tick_among(&mut self, sample: &Sample, _occupancy: &Occupancy, among: Among<'_>, tell: &mut Tell) -> Orders {
        let Among { replica, totals, now } = among;
        if let Some(said) = self.said.as_ref().filter(|_| self.is_shared) {
            self.own.hear(said);
        }
        let decision = self.own.tick(sample, now);
        let mut proven = sample.clone();
        proven.gate.permits = decision.proven_permits;
        let reaches_database = sample.reachability == Reachability::Answering;
        replica.figures(totals, Gauges::of(&proven), reaches_database);
        let said = self.law.tick(replica, &proven, now);
        self.is_shared = matches!(said, Said::Shared(_));
        let said = match said {
            Said::Nothing => None,
            Said::Own => Some(decision.config.clone()),
            Said::Shared(config) => Some(config),
        };
        let before = self.level();
        self.say(said, tell);
        let unknown = || ThrottlingConfig::normal(ConfigVersion::default());
        let said = self.said.as_deref().cloned().unwrap_or_else(unknown);
        self.orders = decision.saying(said, before).gate;
        self.orders
    }

    fn current(&mut self, _client: u32) -> Option<Message> {
        self.said.clone().map(Message::Config)
    }

    fn is_ready(&self) -> bool {
        self.said.is_some()
    }

    fn fair_rate(&self) -> Option<f64> {
        self.orders.fair_rate_per_second
    }

    fn level(&self) -> Level {
        self.said.as_ref().map_or(Level::Normal, |said| said.throttling_level)
    }
}

impl SharedDocument {
    fn say(&mut self, said: Option<ThrottlingConfig>, tell: &mut Tell) {
        if said.as_ref() == self.said.as_deref() {
            return;
        }
        self.said = said.map(Rc::new);
        tell.all.extend(self.said.clone().map(Message::Config));
    }
}
