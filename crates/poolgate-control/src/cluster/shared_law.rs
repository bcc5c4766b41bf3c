//! The law of the clients' rate on the figures of all replicas.

use std::time::Duration;

use poolgate_types::{CircuitState, ConfigVersion};

use super::{
    peers::Said,
    replica::{Part, Replica},
};
use crate::{Controller, Sample, Settings, Thresholds};

/// Versions that the cluster's replicas may publish in one step of the version, each its own.
const SLOTS: u64 = 64;
/// What a replica that is alone says has versions of its own, even if another process has started in the same
/// millisecond.
const ALONE_SLOTS: u64 = 1 << 16;
/// If the store does not take a config for this long, the rate stays as it is: the clients have not heard of it.
const UNHEARD: Duration = Duration::from_secs(1);
/// A replica to which no request has come for this long is idle: a usual time between two exchanges, by which the others
/// judge it.
const IDLE: Duration = Duration::from_secs(1);

/// Runs on every replica, so that each one can go on at any moment, and publishes on one: the sum of all figures is one
/// sample of a large server, which corrects the rate once.
///
/// The epoch is that of the first replica that has published, no matter which replicas start and end later. Epochs of
/// clusters are odd, and those of what a replica says alone are even, so the two never meet.
#[derive(Clone, Debug)]
pub struct SharedLaw {
    controller: Controller,
    ticked: Option<Duration>,
    /// When this replica last had a request.
    busy: Option<Duration>,
}

impl SharedLaw {
    /// A law without samples. `epoch` is the replica's start in Unix milliseconds, `seed` any number of its own.
    pub fn new(settings: Settings, epoch: u64, seed: u64) -> Self {
        // Each replica narrows its own gate.
        let settings = Settings { narrows: false, ..settings };
        Self { controller: Controller::new(settings, epoch | 1, seed), ticked: None, busy: None }
    }

    /// The controller of what a replica says alone, with the same arguments.
    pub fn alone(settings: Settings, epoch: u64, seed: u64) -> Controller {
        let mut controller = Controller::new(settings, epoch & !1, seed);
        controller.lead(ConfigVersion::default(), ALONE_SLOTS, seed % ALONE_SLOTS);
        controller
    }

    /// Changes the thresholds, as [`Controller::set_thresholds`].
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.controller.set_thresholds(thresholds);
    }

    /// Takes in this replica's own sample, and says what it is to serve. Call this for each sample.
    pub fn tick(&mut self, replica: &mut Replica, own: &Sample, now: Duration) -> Said {
        let elapsed = self.ticked.map_or(Duration::ZERO, |ticked| now.saturating_sub(ticked));
        self.ticked = Some(now);
        if own.gate.arrivals > 0 || own.gate.in_flight > 0 || own.gate.queued > 0 {
            self.busy = Some(now);
        }
        let is_idle = self.busy.is_none_or(|busy| now.saturating_sub(busy) >= IDLE);
        if self.controller.circuit() != CircuitState::Closed {
            replica.count_as_cut_off();
        }
        let mut sample = own.clone();
        replica.add_others(&mut sample, is_idle, elapsed);
        let part = replica.part(now);
        let own_at = self.controller.config().at();
        let is_new = |at: ConfigVersion| at.epoch != own_at.epoch || at > own_at;
        if let Some(config) = replica.config()
            && (part != Part::Publishes || is_new(config.at()))
        {
            self.controller.follow(config);
        }
        if part == Part::Publishes {
            self.controller.lead(replica.newest_version(), SLOTS, replica.number().into());
        } else {
            replica.withdraw();
        }
        if replica.offers_since().is_none_or(|since| now.saturating_sub(since) < UNHEARD) {
            self.controller.tick(&sample, now);
        }
        if part == Part::Publishes {
            replica.offer(self.controller.config(), now);
        }
        match (part, replica.config()) {
            (Part::Alone, _) => Said::Own,
            (_, Some(config)) => Said::Shared(config.clone()),
            (_, None) => Said::Nothing,
        }
    }
}
