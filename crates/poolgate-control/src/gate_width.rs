//! How many requests a gate admits in front of an app whose connections a source shows.
//!
//! An app decides by itself which of its requests use the database, and for how long. If only half of the requests in
//! flight hold a connection, a gate as wide as the pool leaves half of the connections idle while requests are queued. So
//! the gate is made wider by what the source shows:
//!
//! ```text
//! connections per request = mean (connections in use + waited for) / mean requests in flight
//! permits                 = connections / connections per request, from 1 to 4 times the connections
//! ```
//!
//! The connections are the smaller of `gate.max_concurrent_requests` (the app's pool) and the source's capacity. Three
//! things keep the gate from becoming too wide:
//!
//! - It grows only while requests are queued, by a tenth a second, and shrinks three times as fast.
//! - Requests that wait inside the app for a connection hold none, and so look as if they needed none. Where the source
//!   does not show them, connections that are all in use count as a twentieth more than there are.
//! - A wider gate has to serve more: after it has grown by half, throughput must have grown by a tenth. Otherwise it goes
//!   back, and the next trial comes much later.

use std::time::Duration;

use crate::{average::Average, route_use::RouteUse, sample::Sample};

/// The gate is never wider than this multiple of the connections.
const WIDEST: f64 = 4.0;
/// Time constant of the connections per request.
const TIME_CONSTANT: Duration = Duration::from_secs(3);
/// Change of the width in a second.
const GROWTH: f64 = 1.1;
const SHRINKAGE: f64 = 0.7;
/// The gate is full at this share of its permits.
const FULL: f64 = 0.9;
/// It must have been full for this long before it grows, and before its throughput counts.
const FULL_FOR: Duration = Duration::from_secs(2);
/// After this time without a full gate it shrinks to the connections.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// All connections are in use from this share on, and then count as this multiple if the waiting are not shown.
const ALL_IN_USE: f64 = 0.95;
const HIDDEN_DEMAND: f64 = 1.05;
/// A gate that has grown by the first factor must serve more by the second one.
const STEP: f64 = 1.5;
const GAIN: f64 = 1.1;
/// Pause after a growth without gain; doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(960);
/// Time constant of the transactions per request, and the requests that they need.
const TRANSACTIONS_TIME_CONSTANT: Duration = Duration::from_secs(30);
const ENOUGH_REQUESTS: f64 = 20.0;

/// What the requests use of the database, learned from a source and the gate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DatabaseUse {
    /// Connections in use or waited for, per request in flight; `None` while it is unknown.
    pub connections_per_request: Option<f64>,
    /// Transactions per completed request; `None` while it is unknown.
    pub transactions_per_request: Option<f64>,
    /// Routes whose requests seem to use no connection: one bit for each place in
    /// [`SourceSample::routes`](crate::SourceSample::routes).
    pub routes_without_connection: u16,
}

/// Sets the width, and learns what requests use.
#[derive(Clone, Debug)]
pub(crate) struct GateWidth {
    connections: Average,
    in_flight: Average,
    transactions: f64,
    completed: f64,
    /// Permits per connection, from 1 to 4.
    width: f64,
    full_since: Option<Duration>,
    full_at: Duration,
    throughput: Average,
    routes: RouteUse,
    proven: Option<Proven>,
    /// No wider than this until then.
    ceiling: Option<(f64, Duration)>,
    pause: Duration,
}

/// A width, and what was served with it.
#[derive(Clone, Copy, Debug)]
struct Proven {
    width: f64,
    per_second: f64,
}

impl GateWidth {
    pub(crate) const fn new() -> Self {
        Self {
            connections: Average::new(TIME_CONSTANT),
            in_flight: Average::new(TIME_CONSTANT),
            transactions: 0.0,
            completed: 0.0,
            width: 1.0,
            full_since: None,
            full_at: Duration::ZERO,
            throughput: Average::new(FULL_FOR),
            routes: RouteUse::new(),
            proven: None,
            ceiling: None,
            pause: FIRST_PAUSE,
        }
    }

    /// Takes in what happened during `elapsed`. Returns the permits; `None` if no source shows the connections.
    pub(crate) fn update(&mut self, sample: &Sample, now: Duration, elapsed: Duration) -> Option<u32> {
        let source = sample.source.as_ref()?;
        let connections = sample.connections();
        if source.is_fresh && !elapsed.is_zero() {
            self.learn(sample, connections, elapsed);
            self.judge(sample, connections, now, elapsed);
            self.resize(now, elapsed);
        }
        Some(((f64::from(connections) * self.width).round() as u32).max(connections))
    }

    /// What the requests use.
    pub(crate) fn database_use(&self) -> DatabaseUse {
        DatabaseUse {
            connections_per_request: self.connections_per_request(),
            transactions_per_request: (self.completed >= ENOUGH_REQUESTS).then(|| self.transactions / self.completed),
            routes_without_connection: self.routes.candidates(),
        }
    }

    fn connections_per_request(&self) -> Option<f64> {
        let (connections, in_flight) = (self.connections.value()?, self.in_flight.value()?);
        (in_flight > 0.05).then(|| connections / in_flight)
    }

    fn learn(&mut self, sample: &Sample, connections: u32, elapsed: Duration) {
        let (in_use, all) = (f64::from(sample.pool.checked_out), f64::from(connections));
        let hides_waiting = sample.pool.waiting == 0 && in_use >= ALL_IN_USE * all;
        let wanted =
            if hides_waiting { in_use.max(HIDDEN_DEMAND * all) } else { in_use + f64::from(sample.pool.waiting) };
        self.connections.update(wanted, elapsed);
        self.in_flight.update(sample.gate.in_flight.into(), elapsed);
        if let Some(source) = &sample.source {
            self.routes.update(&source.routes, in_use + f64::from(sample.pool.waiting), elapsed);
        }
        if let Some(transactions) = sample.source.as_ref().and_then(|source| source.transactions) {
            let kept = (-elapsed.as_secs_f64() / TRANSACTIONS_TIME_CONSTANT.as_secs_f64()).exp();
            self.transactions = self.transactions * kept + transactions as f64;
            self.completed = self.completed * kept + sample.completed as f64;
        }
    }

    /// Whether the gate is full, and whether a wider gate has served more.
    fn judge(&mut self, sample: &Sample, connections: u32, now: Duration, elapsed: Duration) {
        let permits = f64::from(connections) * self.width;
        let is_full = sample.gate.queued > 0 || f64::from(sample.gate.in_flight) >= FULL * permits;
        self.throughput.update(sample.completed as f64 / elapsed.as_secs_f64(), elapsed);
        if is_full {
            self.full_at = now;
            self.full_since.get_or_insert(now);
        } else if now.saturating_sub(self.full_at) > FULL_FOR {
            self.full_since = None;
            self.proven = None;
        }
        if now.saturating_sub(self.full_at) >= FORGET_AFTER {
            (self.ceiling, self.pause) = (None, FIRST_PAUSE);
        }
        if !self.is_full_for_long(now) {
            return;
        }
        let seen = Proven { width: self.width, per_second: self.throughput.value().unwrap_or_default() };
        match self.proven {
            Some(proven) if seen.width < proven.width => self.proven = Some(seen),
            Some(proven) if seen.width < STEP * proven.width => {}
            Some(proven) if seen.per_second < GAIN * proven.per_second => {
                self.ceiling = Some((proven.width, now.saturating_add(self.pause)));
                self.pause = (2 * self.pause).min(LONGEST_PAUSE);
                self.proven = None;
            }
            Some(_) | None => self.proven = Some(seen),
        }
    }

    fn resize(&mut self, now: Duration, elapsed: Duration) {
        let is_forgotten = now.saturating_sub(self.full_at) >= FORGET_AFTER;
        let target = match self.connections_per_request() {
            Some(_) if is_forgotten => 1.0,
            Some(each) => (1.0 / each.max(1e-3)).clamp(1.0, WIDEST),
            None => return,
        };
        let ceiling = self.ceiling.filter(|(_, until)| now < *until).map_or(WIDEST, |(ceiling, _)| ceiling);
        let (target, seconds) = (target.min(ceiling), elapsed.as_secs_f64());
        if target < self.width {
            self.width = (self.width * SHRINKAGE.powf(seconds)).max(target);
        } else if self.is_full_for_long(now) {
            self.width = (self.width * GROWTH.powf(seconds)).min(target);
        }
    }

    fn is_full_for_long(&self, now: Duration) -> bool {
        self.full_since.is_some_and(|since| now.saturating_sub(since) >= FULL_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{GateSample, PoolSample, SourceSample};

    const TICK: Duration = Duration::from_millis(100);

    /// An app behind a gate. Each kind of request holds a permit for some seconds, and a connection for a part of them.
    /// Enough requests come to keep the gate full.
    struct App {
        width: GateWidth,
        now: Duration,
        permits: u32,
        connections: u32,
        /// The app's own pool, whose waiting callers are shown.
        shows_waiting: bool,
        queued: u32,
        /// Of each request: the time that it takes, and the time that it holds a connection.
        takes: f64,
        holds: f64,
        transactions: f64,
        /// Requests a second that the app's processors allow.
        most: f64,
        due: f64,
    }

    impl App {
        fn new(takes: f64, holds: f64) -> Self {
            Self {
                width: GateWidth::new(),
                now: Duration::ZERO,
                permits: 10,
                connections: 10,
                shows_waiting: true,
                queued: 5,
                takes,
                holds,
                transactions: 1.0,
                most: f64::INFINITY,
                due: 0.0,
            }
        }

        /// Runs for some seconds; returns the permits at the end.
        fn run(&mut self, seconds: u32) -> u32 {
            for _ in 0..10 * seconds {
                self.now += TICK;
                let in_flight = if self.queued > 0 { self.permits } else { 2 };
                let alone = f64::from(in_flight) / self.takes;
                let per_second = alone.min(f64::from(self.connections) / self.holds.max(1e-9)).min(self.most);
                let in_use = (per_second * self.holds).min(f64::from(self.connections));
                // A request that does not work elsewhere waits for a connection, unless processors hold it up.
                let elsewhere = per_second * (self.takes - self.holds);
                let is_pool_full = in_use > 0.99 * f64::from(self.connections);
                let waiting = if is_pool_full { (f64::from(in_flight) - elsewhere - in_use).max(0.0) } else { 0.0 };
                self.due += per_second * TICK.as_secs_f64();
                let completed = self.due.floor();
                self.due -= completed;
                let sample = Sample {
                    pool: PoolSample {
                        capacity: self.connections,
                        checked_out: in_use.round() as u32,
                        waiting: if self.shows_waiting { waiting.round() as u32 } else { 0 },
                        ..PoolSample::default()
                    },
                    gate: GateSample { permits: 10, in_flight, queued: self.queued, ..GateSample::default() },
                    completed: completed as u64,
                    source: Some(SourceSample {
                        is_fresh: true,
                        transactions: Some((completed * self.transactions).round() as u64),
                        ..SourceSample::default()
                    }),
                    ..Sample::default()
                };
                self.permits = self.width.update(&sample, self.now, TICK).expect("a source");
            }
            self.permits
        }

        fn learned(&self) -> DatabaseUse {
            self.width.database_use()
        }
    }

    #[test]
    fn requests_that_hold_a_connection_all_the_time_get_no_more_permits_than_connections() {
        for shows_waiting in [true, false] {
            let mut app = App::new(0.05, 0.05);
            app.shows_waiting = shows_waiting;
            assert_eq!(app.run(120), 10);
            let each = app.learned().connections_per_request.expect("known");
            assert!((1.0..1.06).contains(&each), "{each}");
        }
    }

    #[test]
    fn requests_that_hold_one_for_half_their_time_get_twice_as_many() {
        for shows_waiting in [true, false] {
            let mut app = App::new(0.1, 0.05);
            app.shows_waiting = shows_waiting;
            let permits = app.run(60);
            assert!((18..=21).contains(&permits), "{permits}");
        }
    }

    #[test]
    fn routes_without_a_connection_do_not_starve_the_others() {
        // Calls of another service: two seconds, and a tenth of a second of the database.
        let mut app = App::new(2.0, 0.1);
        assert!(app.run(5) < 15, "step by step");
        assert_eq!(app.run(60), 40, "four times the connections, and no more");
    }

    #[test]
    fn a_calm_gate_does_not_grow() {
        let mut app = App::new(2.0, 0.1);
        app.queued = 0;
        assert_eq!(app.run(60), 10);
    }

    #[test]
    fn more_use_of_the_database_makes_it_narrow_again_within_seconds() {
        let mut app = App::new(2.0, 0.1);
        app.run(60);
        (app.takes, app.holds) = (0.05, 0.05);
        let permits = app.run(10);
        assert!(permits <= 11, "{permits}");
    }

    #[test]
    fn an_app_that_does_no_more_gets_no_more() {
        // One processor: wherever its requests wait, they hold no connection.
        let mut app = App::new(0.05, 0.01);
        app.most = 100.0;
        let mut widest = 0;
        for _ in 0..40 {
            widest = widest.max(app.run(1));
        }
        assert!((15..=16).contains(&widest), "{widest}");
        assert_eq!(app.run(20), 10, "it went back");
    }

    #[test]
    fn a_gate_that_was_not_full_for_a_minute_is_as_wide_as_the_pool() {
        let mut app = App::new(2.0, 0.1);
        app.run(60);
        app.queued = 0;
        assert_eq!(app.run(70), 10);
    }

    #[test]
    fn transactions_are_counted_against_requests() {
        for each in [1.0, 3.0, 0.2] {
            let mut app = App::new(0.05, 0.05);
            app.transactions = each;
            app.run(10);
            let learned = app.learned().transactions_per_request.expect("known");
            assert!((learned / each - 1.0).abs() < 0.1, "{learned} for {each}");
        }
    }

    #[test]
    fn a_source_that_cannot_be_read_changes_nothing() {
        let mut width = GateWidth::new();
        let gate = GateSample { permits: 10, in_flight: 10, queued: 5, ..GateSample::default() };
        let source = Some(SourceSample::default());
        let sample = Sample { gate, source, ..Sample::default() };
        for second in 0..100 {
            assert_eq!(width.update(&sample, Duration::from_secs(second), Duration::from_secs(1)), Some(10));
        }
        assert_eq!(width.database_use(), DatabaseUse::default());
        assert_eq!(width.update(&Sample { source: None, ..sample }, Duration::MAX, TICK), None);
    }
}
