//! Builds the controller's samples: differences between readings.

use std::time::{Duration, Instant};

use poolgate_control::{Contact, GateSample, PoolSample, Probes, Sample, WorkSample, gate::Occupancy};

use super::contact::Reach;

use crate::{
    gate::{Core, Totals},
    latency::{Interval, Rolling},
    observer::PoolObserver,
    watched::{Demand, Figures, Traffic, WatchedPool},
};

/// The window of the acquire wait's percentile.
const WAIT_WINDOW: Duration = Duration::from_secs(2);
/// Requests are in flight and none has ended for this long: perhaps the database is stuck.
const STALL: Duration = Duration::from_secs(1);

/// Remembers the previous reading.
#[derive(Debug)]
pub(super) struct Sampler {
    previous: Totals,
    shown: Traffic,
    waits: Rolling,
    moved: Instant,
    timeouts: u64,
}

/// One reading of everything.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) sample: Sample,
    pub(super) figures: Figures,
    pub(super) occupancy: Occupancy,
    /// Requests since the start: at the gate, or as far as the source shows them.
    pub(super) totals: Totals,
    pub(super) demand: Demand,
    /// Acquire waits since the previous reading.
    pub(super) acquire_waits: Interval,
    /// The pool is Poolgate's own, of which everything is known.
    pub(super) own_pool: bool,
    /// There is reason to ask the database for a sign of life.
    pub(super) doubt: bool,
}

impl Sampler {
    pub(super) fn new(tick: Duration) -> Self {
        let slots = WAIT_WINDOW.as_millis().div_ceil(tick.as_millis().max(1));
        Self {
            previous: Totals::default(),
            shown: Traffic::default(),
            waits: Rolling::new(usize::try_from(slots).unwrap_or(usize::MAX)),
            moved: Instant::now(),
            timeouts: 0,
        }
    }

    pub(super) fn read(
        &mut self,
        gate: &Core,
        observer: &PoolObserver,
        pool: &dyn WatchedPool,
        reach: &Reach,
        live_clients: u32,
        streaming_clients: u32,
    ) -> Reading {
        let mut totals = gate.limiter().tally().totals();
        let occupancy = gate.occupancy();
        let since = totals.since(&self.previous);
        self.previous = totals;
        let acquire_waits = observer.take_acquire_waits();
        self.waits.push(acquire_waits.clone());
        let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let figures = pool.figures();
        gate.set_connections(figures.checked_out);
        let mut sample = Sample {
            pool: PoolSample {
                checked_out: figures.checked_out,
                capacity: figures.capacity,
                waiting: figures.waiting.unwrap_or_default(),
                open: figures.checked_out + figures.idle,
                closing: figures.closing,
            },
            gate: GateSample {
                permits: gate.limiter().permits(),
                in_flight: occupancy.in_flight,
                // What is in excess of the allowance of a caller who hears no rate is no demand that anybody could be told to
                // lower: let in where others leave room, it would keep the rate of those low.
                queued: occupancy.queued.saturating_sub(occupancy.excess),
                arrivals: since.arrivals.saturating_sub(since.no_demand),
                rejected: since.rejected.saturating_sub(since.no_demand_rejected),
                over_quota: since.over_quota,
                patient: false,
            },
            completed: since.completed,
            acquire_wait_p99: self.waits.quantile(0.99),
            contact: reach.contact,
            failed: reach.failed,
            connects: reach.connects,
            cause: reach.cause.clone(),
            work: WorkSample {
                read_only_mode: reach.read_only,
                waiting_for_locks: reach.waiting_for_locks,
                ..observer.take_work()
            },
            probes: Probes { succeeded: count(since.probes_succeeded), failed: count(since.probes_failed) },
            live_clients,
            streaming_clients,
            proxy_untrusted: gate.untrusted_proxy().is_some(),
        };
        let demand = pool.demand();
        if let Demand::Shown(traffic) = demand {
            self.show(&mut sample, traffic);
            let Traffic { arrivals, completed, .. } = self.shown;
            totals = Totals { arrivals, completed, ..Totals::default() };
        }
        let doubt = reach.contact != Contact::Answering
            || reach.connects.is_lost()
            || self.is_stuck(&since, &occupancy, observer);
        let own_pool = pool.upkeep().is_some();
        Reading { sample, figures, occupancy, totals, demand, acquire_waits, own_pool, doubt }
    }

    /// Nobody passes the gate of this server: the pooler is the gate, one that turns nobody away.
    fn show(&mut self, sample: &mut Sample, traffic: Option<Traffic>) {
        // What went on at the last reading does not go on for ever.
        let Traffic { arrivals, completed, .. } = self.shown;
        let traffic = traffic.unwrap_or(Traffic { arrivals, completed, ..Traffic::default() });
        let before = std::mem::replace(&mut self.shown, traffic);
        sample.completed = traffic.completed.saturating_sub(before.completed);
        sample.gate = GateSample {
            permits: sample.pool.capacity,
            in_flight: traffic.in_use,
            queued: traffic.waiting,
            arrivals: traffic.arrivals.saturating_sub(before.arrivals),
            patient: true,
            ..GateSample::default()
        };
        // The one that waits longest stands for the slowest.
        sample.acquire_wait_p99 = traffic.oldest_wait;
    }

    fn is_stuck(&mut self, since: &Totals, occupancy: &Occupancy, observer: &PoolObserver) -> bool {
        let timeouts = observer.times().timeouts;
        let timed_out = std::mem::replace(&mut self.timeouts, timeouts) < timeouts;
        if since.completed > 0 || occupancy.in_flight == 0 {
            self.moved = Instant::now();
        }
        timed_out || self.moved.elapsed() >= STALL
    }
}
