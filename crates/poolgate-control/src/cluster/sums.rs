//! The figures of all replicas as one sample.

use std::{collections::BTreeMap, time::Duration};

use super::{
    audience::{Audience, Crowds, Elsewhere, Sketch},
    row::{Gauges, ReplicaId, Row, State, Totals},
};
use crate::{GateSample, PoolSample, Sample};

/// A replica whose totals have not changed for this long is taken to be as it was; after the second time it is left out.
const FROZEN: Duration = Duration::from_secs(12);
/// Longest time that one difference of totals is spread over.
const LONGEST: Duration = Duration::from_secs(5);
/// Time between two exchanges before it is known.
const USUAL: Duration = Duration::from_secs(1);
/// What one replica does is known to the publisher, and the config that follows from that to all, after as many exchanges
/// on average: a half each until the totals are written, read and handed out, and until the config is read.
const LATE: u32 = 2;

/// The other replicas' figures. Their totals arrive about once a second, and their differences are spread evenly over
/// the time until the next ones, so that a sample every 100 ms sees a steady flow.
#[derive(Clone, Debug, Default)]
pub struct Sums(BTreeMap<ReplicaId, Other>);

/// The replica whose sample the others' figures are added to.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// No request has come to it lately.
    pub is_idle: bool,
    /// Whether it reaches the database.
    pub reaches_database: bool,
    /// Whether it has no pool, and its sample is of a source that the others watch as well.
    pub watches: bool,
}

#[derive(Clone, Debug)]
struct Other {
    seq: u64,
    totals: Totals,
    gauges: Gauges,
    audience: Audience,
    reaches_database: bool,
    watches: bool,
    changed: Duration,
    /// Time between two changes, on average.
    interval: Duration,
    /// Counts a second since the totals before these.
    rates: [f64; 4],
    /// Parts of counts that no sample has contained yet.
    carried: [f64; 4],
}

impl Sums {
    /// Takes in the rows of the other replicas.
    pub(super) fn read(&mut self, own: ReplicaId, rows: &[Row], now: Duration) {
        self.0.retain(|_, other| now.saturating_sub(other.changed) < FROZEN);
        for row in rows.iter().filter(|row| row.id != own) {
            if row.state == State::Left {
                self.0.remove(&row.id);
                continue;
            }
            match self.0.get_mut(&row.id) {
                Some(other) if other.seq >= row.seq => {}
                Some(other) => other.advance(row, now),
                None => drop(self.0.insert(row.id, Other::new(row.clone(), now))),
            }
        }
    }

    /// Adds the others' figures of the last `elapsed` to the sample of this replica, whose own pollers are given, and
    /// which `is_idle` if no request has come to it lately. Pollers that ask several replicas count once.
    ///
    /// The slots of an idle replica do not count while another one is busy: no request reaches them, so a rate for them
    /// would be too high for the others. Of a replica that does not reach the database, or is about to try it again, only
    /// the clients count while another one reaches it: that it rejects most requests is no sign of clients that disobey.
    /// Of replicas that watch one source only the clients count in any case: each one is shown the requests of all.
    pub fn add_to(&mut self, sample: &mut Sample, own_pollers: &Sketch, own: Own, elapsed: Duration) {
        let Own { is_idle, reaches_database, watches } = own;
        let mut pollers = own_pollers.clone();
        let is_any_able = reaches_database || self.0.values().any(|other| other.reaches_database);
        let counts = |other: &Other| (other.reaches_database || !is_any_able) && !(watches && other.watches);
        let is_other_busy = self.0.values().any(|other| counts(other) && other.is_busy());
        if is_idle && is_other_busy {
            (sample.pool, sample.gate.permits) = (PoolSample::default(), 0);
        }
        let is_any_busy = !is_idle || is_other_busy;
        for other in self.0.values_mut() {
            let counts = counts(other);
            if counts && (other.is_busy() || !is_any_busy) {
                other.add_slots(sample);
            }
            let new = other.new_counts(elapsed);
            if counts {
                new.add_to(sample);
            }
            other.add_clients(sample);
            pollers.unite(&other.audience.pollers);
        }
        if self.0.values().any(|other| !other.audience.pollers.is_empty()) {
            let elsewhere = pollers.estimate().saturating_sub(own_pollers.estimate());
            sample.live_clients = sample.live_clients.saturating_add(elsewhere);
        }
        sample.lag = self.lag();
    }

    /// How late the others' figures are, and the config at the others, together.
    fn lag(&self) -> Duration {
        self.0.values().map(|other| other.interval * LATE).max().unwrap_or_default()
    }

    /// The clients at the other replicas; `own` is what they are told of those here.
    pub(super) fn elsewhere(&self, key: Option<u32>, own: &Crowds) -> Elsewhere {
        let live = |other: &Other| other.gauges.streaming_clients.saturating_add(other.audience.pollers.estimate());
        Elsewhere::new(key, own, self.0.values().map(|other| (&other.audience.crowds, live(other))))
    }
}

impl Totals {
    fn add_to(self, sample: &mut Sample) {
        let Self { arrivals, rejected, over_quota, completed } = self;
        sample.gate.arrivals = sample.gate.arrivals.saturating_add(arrivals);
        sample.gate.rejected = sample.gate.rejected.saturating_add(rejected);
        sample.gate.over_quota = sample.gate.over_quota.saturating_add(over_quota);
        sample.completed = sample.completed.saturating_add(completed);
    }
}

impl Other {
    fn new(row: Row, now: Duration) -> Self {
        let Row { seq, totals, gauges, audience, reaches_database, watches, .. } = row;
        let (interval, rates, carried) = (USUAL, [0.0; 4], [0.0; 4]);
        Self { seq, totals, gauges, audience, reaches_database, watches, changed: now, interval, rates, carried }
    }

    fn advance(&mut self, row: &Row, now: Duration) {
        let passed = now.saturating_sub(self.changed).min(LONGEST).as_secs_f64().max(0.1);
        let (before, after) = (counts(&self.totals), counts(&row.totals));
        let rate = |(before, after): (u64, u64)| after.saturating_sub(before) as f64 / passed;
        let mut pairs = before.into_iter().zip(after);
        self.rates = [(); 4].map(|()| pairs.next().map_or(0.0, rate));
        self.interval = (self.interval + Duration::from_secs_f64(passed)) / 2;
        (self.seq, self.totals, self.gauges, self.changed) = (row.seq, row.totals, row.gauges, now);
        self.audience = row.audience.clone();
        self.reaches_database = row.reaches_database;
    }

    /// Whether requests have come to it lately.
    fn is_busy(&self) -> bool {
        self.rates.iter().any(|rate| *rate > 0.0) || self.gauges.in_flight > 0 || self.gauges.queued > 0
    }

    /// What it has counted in the last `elapsed`.
    fn new_counts(&mut self, elapsed: Duration) -> Totals {
        let seconds = elapsed.min(LONGEST).as_secs_f64();
        let mut counts = [0_u64; 4];
        for ((count, carried), rate) in counts.iter_mut().zip(&mut self.carried).zip(self.rates) {
            let due = *carried + rate * seconds;
            *count = due as u64;
            *carried = due - due.floor();
        }
        let [arrivals, rejected, over_quota, completed] = counts;
        Totals { arrivals, rejected, over_quota, completed }
    }

    fn add_clients(&self, sample: &mut Sample) {
        sample.live_clients = sample.live_clients.saturating_add(self.gauges.streaming_clients);
        sample.streaming_clients = sample.streaming_clients.saturating_add(self.gauges.streaming_clients);
    }

    fn add_slots(&self, sample: &mut Sample) {
        let Sample { pool, gate, .. } = sample;
        let Gauges { permits, capacity, checked_out, open, closing, waiting, in_flight, queued, .. } = self.gauges;
        *pool = PoolSample {
            checked_out: pool.checked_out.saturating_add(checked_out),
            capacity: pool.capacity.saturating_add(capacity),
            waiting: pool.waiting.saturating_add(waiting),
            open: pool.open.saturating_add(open),
            closing: pool.closing.saturating_add(closing),
        };
        *gate = GateSample {
            permits: gate.permits.saturating_add(permits),
            in_flight: gate.in_flight.saturating_add(in_flight),
            queued: gate.queued.saturating_add(queued),
            ..*gate
        };
    }
}

fn counts(totals: &Totals) -> [u64; 4] {
    [totals.arrivals, totals.rejected, totals.over_quota, totals.completed]
}

#[cfg(test)]
mod tests {
    use poolgate_types::rng::mix;

    use super::*;

    const BUSY: Own = Own { is_idle: false, reaches_database: true, watches: false };

    fn row(seq: u64, arrivals: u64) -> Row {
        Row {
            id: ReplicaId(2),
            seq,
            state: State::Serving,
            applied: 1,
            read: 1,
            limit: 20,
            holds: 20,
            wants: 20,
            reaches_database: true,
            watches: false,
            totals: Totals { arrivals, completed: arrivals / 2, ..Totals::default() },
            gauges: Gauges { permits: 20, capacity: 20, in_flight: 1, streaming_clients: 30, ..Gauges::default() },
            audience: Audience::default(),
            config: None,
        }
    }

    #[test]
    fn totals_are_spread_evenly_over_the_ticks_and_none_is_lost() {
        let (mut sums, tick) = (Sums::default(), Duration::from_millis(100));
        let (mut arrivals, mut completed) = (0, 0);
        for n in 0..=600_u32 {
            let now = tick * n;
            if n % 10 == 0 {
                sums.read(ReplicaId(1), &[row(u64::from(n / 10), u64::from(n / 10) * 137)], now);
            }
            let mut sample = Sample { live_clients: 5, ..Sample::default() };
            sums.add_to(&mut sample, &Sketch::default(), BUSY, tick);
            assert_eq!((sample.gate.permits, sample.pool.capacity, sample.live_clients), (20, 20, 35));
            if n >= 10 {
                assert!((13..=14).contains(&sample.gate.arrivals), "{n}: {}", sample.gate.arrivals);
            }
            arrivals += sample.gate.arrivals;
            completed += sample.completed;
        }
        // The newest second has not been handed out yet.
        assert!((59 * 137..=60 * 137).contains(&arrivals), "{arrivals}");
        assert!((59 * 68..=60 * 69).contains(&completed), "{completed}");
    }

    #[test]
    fn pollers_that_ask_several_replicas_count_once() {
        let mut own = Sketch::default();
        (0..200).for_each(|poller| own.add(mix(poller + 1)));
        let mut row = row(1, 0);
        (100..300).for_each(|poller| row.audience.pollers.add(mix(poller + 1)));
        let mut sums = Sums::default();
        sums.read(ReplicaId(1), &[row], Duration::ZERO);
        let mut sample = Sample { live_clients: 205, streaming_clients: 5, ..Sample::default() };
        sums.add_to(&mut sample, &own, Own { is_idle: true, ..BUSY }, Duration::from_millis(100));
        let pollers = sample.live_clients - sample.streaming_clients;
        assert!((270..=330).contains(&pollers) && sample.streaming_clients == 35, "{sample:?}");
    }

    #[test]
    fn a_frozen_replica_counts_as_it_was_and_a_silent_one_not_at_all() {
        let mut sums = Sums::default();
        sums.read(ReplicaId(1), &[row(1, 0)], Duration::ZERO);
        sums.read(ReplicaId(1), &[row(2, 100)], Duration::from_secs(1));
        let arrivals = |sums: &mut Sums| {
            let mut sample = Sample::default();
            sums.add_to(&mut sample, &Sketch::default(), BUSY, Duration::from_secs(1));
            (sample.gate.arrivals, sample.gate.permits)
        };
        sums.read(ReplicaId(1), &[row(2, 100)], Duration::from_secs(5));
        assert_eq!(arrivals(&mut sums), (100, 20));
        sums.read(ReplicaId(1), &[], Duration::from_secs(13));
        assert_eq!(arrivals(&mut sums), (0, 0));
    }

    #[test]
    fn a_replica_without_the_database_counts_only_its_clients_while_another_one_has_it() {
        let cut_off = |seq, arrivals| Row { reaches_database: false, ..row(seq, arrivals) };
        let mut sums = Sums::default();
        sums.read(ReplicaId(1), &[cut_off(1, 0)], Duration::ZERO);
        sums.read(ReplicaId(1), &[cut_off(2, 100)], Duration::from_secs(1));
        let figures = |sums: &mut Sums, reaches_database| {
            let mut sample = Sample::default();
            sums.add_to(&mut sample, &Sketch::default(), Own { reaches_database, ..BUSY }, Duration::from_secs(1));
            (sample.gate.arrivals, sample.gate.permits, sample.live_clients)
        };
        assert_eq!(figures(&mut sums, true), (0, 0, 30));
        assert_eq!(figures(&mut sums, false), (100, 20, 30), "none is better");
        sums.read(ReplicaId(1), &[row(3, 200)], Duration::from_secs(2));
        assert_eq!(figures(&mut sums, true), (100, 20, 30), "it is back");
    }

    #[test]
    fn of_replicas_that_watch_one_source_only_the_clients_count() {
        let watcher = |seq, arrivals| Row { watches: true, ..row(seq, arrivals) };
        let mut sums = Sums::default();
        sums.read(ReplicaId(1), &[watcher(1, 0)], Duration::ZERO);
        sums.read(ReplicaId(1), &[watcher(2, 100)], Duration::from_secs(1));
        let gate = GateSample { arrivals: 100, permits: 20, ..GateSample::default() };
        let mut sample = Sample { gate, completed: 50, live_clients: 10, ..Sample::default() };
        sums.add_to(&mut sample, &Sketch::default(), Own { watches: true, ..BUSY }, Duration::from_secs(1));
        assert_eq!((sample.gate.arrivals, sample.gate.permits, sample.completed), (100, 20, 50));
        assert_eq!((sample.pool.capacity, sample.live_clients), (0, 40));
    }

    #[test]
    fn its_own_row_and_one_that_has_left_do_not_count() {
        let mut sums = Sums::default();
        sums.read(ReplicaId(2), &[row(1, 0)], Duration::ZERO);
        assert!(sums.0.is_empty());
        sums.read(ReplicaId(1), &[row(1, 0)], Duration::ZERO);
        sums.read(ReplicaId(1), &[Row { state: State::Left, ..row(2, 0) }], Duration::from_secs(1));
        assert!(sums.0.is_empty());
    }
}
