//! Detects a gate that is full while the pool is not: something other than the database holds the permits.

use std::{fmt, time::Duration};

use poolgate_types::Severity;

use crate::{sample::Sample, window::Window};

/// The state is reported after it has lasted this long.
const LASTING: Duration = Duration::from_secs(2);
/// The pool counts as "not full" while less than this share of the requests in flight has a connection or waits for
/// one.
const AT_WORK: f64 = 0.5;
/// The alert is critical when more than this share of the requests is rejected.
const CRITICAL_REJECTS: f64 = 0.5;

/// Watches gate and pool.
#[derive(Clone, Debug)]
pub(crate) struct FullGate {
    since: Option<Duration>,
    in_flight: Window,
    at_work: Window,
    rejects: Window,
}

/// A gate that is full while the pool is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    in_flight: u32,
    permits: u32,
    /// Connections in use or waited for, averaged over two seconds.
    at_work: f64,
    /// Share of the requests of two seconds that was rejected.
    rejects: f64,
}

impl FullGate {
    pub(crate) fn new() -> Self {
        Self { since: None, in_flight: Window::default(), at_work: Window::default(), rejects: Window::default() }
    }

    /// `permits`: requests that may be in flight now.
    pub(crate) fn update(&mut self, sample: &Sample, permits: u32, now: Duration) -> Option<Found> {
        let gate = &sample.gate;
        let at_work = sample.pool.checked_out.saturating_add(sample.pool.waiting);
        self.in_flight.add(f64::from(gate.in_flight), 1.0, now);
        self.at_work.add(f64::from(at_work), 1.0, now);
        self.rejects.add(gate.rejected as f64, gate.arrivals as f64, now);
        let in_flight = self.in_flight.ratio(now).unwrap_or_default();
        let at_work = self.at_work.ratio(now).unwrap_or_default();
        let rejects = self.rejects.ratio(now).unwrap_or_default();

        let is_full = gate.in_flight >= permits.max(1) && (gate.queued > 0 || rejects > 0.0);
        if gate.patient || !is_full || at_work >= AT_WORK * in_flight {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let found = Found { in_flight: gate.in_flight, permits, at_work, rejects };
        (now.saturating_sub(since) >= LASTING).then_some(found)
    }
}

impl Found {
    pub(crate) fn severity(self) -> Severity {
        if self.rejects > CRITICAL_REJECTS { Severity::Critical } else { Severity::Warning }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { in_flight, permits, at_work, .. } = self;
        write!(
            f,
            "the gate is full ({in_flight} of {permits} requests in flight) and only {at_work:.0} of them use the database: \
             slow uploads, slow readers or work beside the database hold the others"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{GateSample, PoolSample};

    struct World {
        full_gate: FullGate,
        now: Duration,
    }

    impl World {
        fn run(&mut self, seconds: u64, sample: &Sample) -> Option<Found> {
            let mut found = None;
            for _ in 0..10 * seconds {
                self.now += Duration::from_millis(100);
                found = self.full_gate.update(sample, 25, self.now);
            }
            found
        }
    }

    fn world() -> World {
        World { full_gate: FullGate::new(), now: Duration::ZERO }
    }

    fn sample(in_flight: u32, checked_out: u32, arrivals: u64, rejected: u64) -> Sample {
        Sample {
            pool: PoolSample { capacity: 30, checked_out, ..PoolSample::default() },
            gate: GateSample { permits: 25, in_flight, arrivals, rejected, ..GateSample::default() },
            ..Sample::default()
        }
    }

    #[test]
    fn a_full_gate_before_an_idle_pool_is_found_after_two_seconds_and_gone_when_it_empties() {
        let mut world = world();
        assert_eq!(world.run(2, &sample(25, 0, 5, 5)), None);
        let found = world.run(1, &sample(25, 0, 5, 5)).expect("found");
        assert_eq!(found.severity(), Severity::Critical);
        assert!(found.to_string().contains("25 of 25") && found.to_string().contains("only 0 of them"), "{found}");
        assert_eq!(world.run(1, &sample(24, 0, 5, 0)), None);
    }

    #[test]
    fn a_few_turned_away_are_a_warning() {
        let found = world().run(4, &sample(25, 2, 50, 5)).expect("found");
        assert_eq!(found.severity(), Severity::Warning);
    }

    #[test]
    fn a_gate_that_is_full_because_the_database_is_busy_is_no_alert_nor_one_with_an_empty_queue() {
        assert_eq!(world().run(10, &sample(25, 25, 50, 40)), None);
        assert_eq!(world().run(10, &sample(25, 0, 0, 0)), None);
        let mut waiting = sample(25, 5, 50, 40);
        waiting.pool.waiting = 20;
        assert_eq!(world().run(10, &waiting), None);
    }
}
