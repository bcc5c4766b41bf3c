//! Collects what the controller and the reports need: one reading of everything, ten times a second.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use poolgate_control::{
    GateSample, PoolSample, Probes, Reachability, Sample, SourceSample, WorkSample, gate::Occupancy,
};
use poolgate_types::{Clients, ThrottlingConfig};

use super::database_watch::{DatabaseState, DatabaseWatch};
use crate::{
    clients::Registry,
    gate::{Core, Totals},
    latency::{Interval, Rolling},
    observer::{PoolObserver, Times},
    proxies::Proxies,
    watched::{Figures, Traffic, Visibility, WatchedPool},
};

/// The window of the acquire wait's percentile.
const WAIT_WINDOW: Duration = Duration::from_secs(2);
/// The database may be stuck when requests are in flight and none has ended for this long.
const STALL: Duration = Duration::from_secs(1);

/// Where the readings come from.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) pool: Arc<dyn WatchedPool>,
    pub(super) gate: Arc<Core>,
    pub(super) observer: PoolObserver,
    pub(super) database: Arc<DatabaseWatch>,
    pub(super) clients: Registry,
    pub(super) proxies: Arc<Proxies>,
}

/// Reads the sources, and remembers the previous reading to form differences.
#[derive(Debug)]
pub(super) struct Sampler {
    sources: Sources,
    previous: Totals,
    shown: Traffic,
    transactions: Option<u64>,
    waits: Rolling,
    moved: Instant,
    /// When a request was last answered, or none was in flight.
    answered: Instant,
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
    pub(super) visibility: Visibility,
    pub(super) database: DatabaseState,
    pub(super) clients: Clients,
    /// For how long requests have been in flight and none was answered.
    pub(super) unanswered: Option<Duration>,
    /// Times of the pool since the start.
    pub(super) times: Times,
    /// Acquire waits since the previous reading.
    pub(super) acquire_waits: Interval,
    /// The pool is Poolgate's own, of which everything is known.
    pub(super) own_pool: bool,
    /// There is reason to ask the database for a sign of life.
    pub(super) doubt: bool,
}

impl Sampler {
    pub(super) fn new(sources: Sources, tick: Duration) -> Self {
        let slots = WAIT_WINDOW.as_millis().div_ceil(tick.as_millis().max(1));
        Self {
            sources,
            previous: Totals::default(),
            shown: Traffic::default(),
            transactions: None,
            waits: Rolling::new(usize::try_from(slots).unwrap_or(usize::MAX)),
            moved: Instant::now(),
            answered: Instant::now(),
            timeouts: 0,
        }
    }

    /// Takes a reading. `in_force` is the config that the clients were told; `permits` are the gate's by the settings
    /// and by the growth of the pool.
    pub(super) fn read(&mut self, in_force: &ThrottlingConfig, permits: u32) -> Reading {
        let Sources { pool, gate, observer, database, clients, proxies } = &self.sources;
        let database = database.state(&**pool, observer);
        let ttl = Duration::from_secs(u64::from(in_force.ttl_seconds));
        let (live, streaming) = (clients.count(in_force.version, ttl), clients.streaming());
        let mut totals = gate.totals();
        let occupancy = gate.occupancy();
        let since = totals.since(&self.previous);
        self.previous = totals;
        if since.succeeded + since.server_errors > 0 || occupancy.in_flight == 0 {
            self.answered = Instant::now();
        }
        let unanswered = (occupancy.in_flight > 0).then(|| self.answered.elapsed());
        let acquire_waits = observer.take_acquire_waits();
        self.waits.push(acquire_waits.clone());
        let times = observer.times();
        let figures = pool.figures();
        gate.set_connections(figures.checked_out);
        let transactions = figures.transactions.zip(mem::replace(&mut self.transactions, figures.transactions));
        let transactions = transactions.and_then(|(now, before)| now.checked_sub(before));
        let source = pool.is_behind_app().then_some(SourceSample {
            is_fresh: database.reachability == Reachability::Answering && figures.capacity > 0,
            transactions,
            routes: gate.routes().in_flight(),
        });
        let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let mut sample = Sample {
            pool: PoolSample {
                checked_out: figures.checked_out,
                capacity: figures.capacity,
                waiting: figures.waiting.unwrap_or_default(),
                open: figures.checked_out + figures.idle,
                closing: figures.closing,
            },
            gate: GateSample {
                permits,
                in_flight: occupancy.in_flight,
                // Excess of callers that hear no rate is no demand that could be lowered. Such requests are admitted
                // when others leave room, so counting them would keep the rate of the others low.
                queued: occupancy.queued.saturating_sub(occupancy.excess),
                arrivals: since.arrivals.saturating_sub(since.no_demand),
                rejected: since.rejected.saturating_sub(since.no_demand_rejected),
                over_quota: since.over_quota,
                patient: false,
            },
            completed: since.completed,
            acquire_wait_p99: self.waits.quantile(0.99),
            reachability: database.reachability,
            failed: database.failed,
            connects: database.connects,
            cause: database.cause.clone(),
            work: WorkSample {
                read_only_mode: database.read_only,
                waiting_for_locks: database.waiting_for_locks,
                ..observer.take_work()
            },
            probes: Probes { succeeded: count(since.probes_succeeded), failed: count(since.probes_failed) },
            live_clients: live.live,
            streaming_clients: streaming,
            lag: Duration::ZERO,
            proxy_untrusted: proxies.untrusted().is_some(),
            source,
        };
        let (visibility, own_pool) = (pool.visibility(), pool.upkeep().is_some());
        if let Visibility::Shown(traffic) = visibility {
            self.show(&mut sample, traffic);
            let Traffic { arrivals, completed, rejected, .. } = self.shown;
            totals = Totals { arrivals, completed, rejected, ..Totals::default() };
        }
        let doubt = database.reachability != Reachability::Answering
            || database.connects.is_lost()
            || self.is_stuck(&since, &occupancy, &times);
        Reading {
            sample,
            figures,
            occupancy,
            totals,
            visibility,
            database,
            clients: live,
            unanswered,
            times,
            acquire_waits,
            own_pool,
            doubt,
        }
    }

    /// Replaces the gate's figures by those of the source: requests bypass this server's gate, and the pooler is the
    /// gate, one whose queue is its own and that cannot be told its permits.
    fn show(&mut self, sample: &mut Sample, traffic: Option<Traffic>) {
        // Without a reading nothing is known to be in use or to wait.
        let Traffic { arrivals, completed, rejected, .. } = self.shown;
        let traffic = traffic.unwrap_or(Traffic { arrivals, completed, rejected, ..Traffic::default() });
        let before = mem::replace(&mut self.shown, traffic);
        sample.completed = traffic.completed.saturating_sub(before.completed);
        sample.gate = GateSample {
            permits: sample.pool.capacity,
            in_flight: traffic.in_use,
            queued: traffic.waiting,
            arrivals: traffic.arrivals.saturating_sub(before.arrivals),
            rejected: traffic.rejected.saturating_sub(before.rejected),
            patient: true,
            ..GateSample::default()
        };
        // The longest wait stands for the slowest requests.
        sample.acquire_wait_p99 = traffic.oldest_wait;
    }

    fn is_stuck(&mut self, since: &Totals, occupancy: &Occupancy, times: &Times) -> bool {
        let timed_out = mem::replace(&mut self.timeouts, times.timeouts) < times.timeouts;
        if since.completed > 0 || occupancy.in_flight == 0 {
            self.moved = Instant::now();
        }
        timed_out || self.moved.elapsed() >= STALL
    }
}
