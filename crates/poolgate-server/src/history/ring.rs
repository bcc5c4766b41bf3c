//! Samples in steps of equal length, the oldest of which are forgotten.

use std::{collections::VecDeque, time::Duration};

use poolgate_types::{CircuitState, Level, Status};

use crate::gate::Totals;

/// What a tick saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    gauges: Gauges,
    /// Requests since the start; `None` without a gate.
    counts: Option<Counts>,
}

/// Figures of which a step keeps the worst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gauges {
    pub(super) level: Level,
    pub(super) circuit: CircuitState,
    pub(super) checked_out: u32,
    pub(super) open: u32,
    pub(super) capacity: u32,
    pub(super) waiting: Option<u32>,
    pub(super) p95: Option<f32>,
    pub(super) p99: Option<f32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    admitted: u64,
    rejected: u64,
    succeeded: u64,
    failed: u64,
}

/// Requests per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    pub(super) admitted: f64,
    pub(super) rejected: f64,
    pub(super) succeeded: f64,
    pub(super) failed: f64,
}

/// A step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// Its beginning, as the time since the start.
    pub(super) begin: Duration,
    pub(super) worst: Gauges,
    /// Means since the last moment of the step before; `None` without a gate.
    pub(super) rates: Option<Rates>,
}

/// The newest steps.
#[derive(Debug)]
pub(super) struct Ring {
    step: Duration,
    steps: usize,
    over: VecDeque<Step>,
    current: Option<Current>,
    /// The counts at the end of the last step, and when they were read.
    before: Option<(Duration, Counts)>,
}

/// The step that is not over yet.
#[derive(Clone, Copy, Debug)]
struct Current {
    number: u128,
    worst: Gauges,
    newest: (Duration, Option<Counts>),
}

impl Moment {
    pub(super) fn new(status: &Status, totals: &Totals) -> Self {
        let Status { pool, gate, performance, .. } = status;
        let waits = performance.acquire_wait_ms;
        let gauges = Gauges {
            level: status.throttling_level,
            circuit: status.circuit_breaker,
            checked_out: pool.checked_out,
            open: pool.checked_out + pool.idle,
            capacity: pool.capacity,
            waiting: pool.waiting.map(|waiting| waiting + gate.as_ref().map_or(0, |gate| gate.waiting)),
            p95: waits.map(|waits| waits.p95 as f32),
            p99: waits.map(|waits| waits.p99 as f32),
        };
        let counts = gate.as_ref().map(|gate| Counts {
            admitted: gate.admitted_total,
            rejected: gate.rejected_total,
            succeeded: totals.succeeded,
            failed: totals.failed(),
        });
        Self { gauges, counts }
    }
}

impl Ring {
    /// A ring of this many steps of this length.
    pub(super) fn new(step: Duration, steps: usize) -> Self {
        Self { step, steps, over: VecDeque::with_capacity(steps), current: None, before: None }
    }

    /// Takes in a moment. Moments come in their order.
    pub(super) fn record(&mut self, now: Duration, moment: &Moment) {
        let number = now.as_nanos() / self.step.as_nanos().max(1);
        let worst = match self.current {
            Some(current) if current.number == number => current.worst.worse(moment.gauges),
            Some(current) => {
                self.end(current);
                moment.gauges
            }
            None => moment.gauges,
        };
        self.current = Some(Current { number, worst, newest: (now, moment.counts) });
    }

    /// The steps that end after `from`, oldest first; the newest may not be over yet.
    pub(super) fn since(&self, from: Duration) -> Vec<Step> {
        let newest = self.current.map(|current| self.so_far(current));
        self.over.iter().cloned().chain(newest).filter(|step| step.begin + self.step > from).collect()
    }

    fn end(&mut self, current: Current) {
        if self.over.len() >= self.steps {
            self.over.pop_front();
        }
        self.over.push_back(self.so_far(current));
        let (now, counts) = current.newest;
        self.before = counts.map(|counts| (now, counts));
    }

    /// What is known of a step.
    fn so_far(&self, current: Current) -> Step {
        let (now, counts) = current.newest;
        let rates = counts.map(|counts| {
            let (then, before) = self.before.unwrap_or_default();
            counts.since(&before).per_second(now.saturating_sub(then))
        });
        let begin = self.step.saturating_mul(u32::try_from(current.number).unwrap_or(u32::MAX));
        Step { begin, worst: current.worst, rates }
    }
}

impl Gauges {
    fn worse(self, other: Self) -> Self {
        let circuit = if rank(self.circuit) < rank(other.circuit) { other.circuit } else { self.circuit };
        Self {
            level: self.level.max(other.level),
            circuit,
            checked_out: self.checked_out.max(other.checked_out),
            open: self.open.max(other.open),
            // The limit in force at the end: what differs from the other figures is that more is not worse.
            capacity: other.capacity,
            waiting: self.waiting.max(other.waiting),
            p95: larger(self.p95, other.p95),
            p99: larger(self.p99, other.p99),
        }
    }
}

const fn rank(circuit: CircuitState) -> u8 {
    match circuit {
        CircuitState::Closed => 0,
        CircuitState::HalfOpen => 1,
        CircuitState::Open => 2,
    }
}

fn larger(one: Option<f32>, other: Option<f32>) -> Option<f32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    }
}

impl Counts {
    fn since(&self, before: &Self) -> Self {
        Self {
            admitted: self.admitted.saturating_sub(before.admitted),
            rejected: self.rejected.saturating_sub(before.rejected),
            succeeded: self.succeeded.saturating_sub(before.succeeded),
            failed: self.failed.saturating_sub(before.failed),
        }
    }

    fn per_second(self, time: Duration) -> Rates {
        let seconds = time.as_secs_f64().max(1e-3);
        let rate = |count: u64| count as f64 / seconds;
        Rates {
            admitted: rate(self.admitted),
            rejected: rate(self.rejected),
            succeeded: rate(self.succeeded),
            failed: rate(self.failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    fn moment(checked_out: u32, level: Level, admitted: u64) -> Moment {
        let circuit = if level == Level::Emergency { CircuitState::Open } else { CircuitState::Closed };
        let gauges = Gauges {
            level,
            circuit,
            checked_out,
            open: 20,
            capacity: 30,
            waiting: Some(checked_out),
            p95: None,
            p99: Some(checked_out as f32),
        };
        Moment { gauges, counts: Some(Counts { admitted, rejected: admitted / 2, failed: 0, succeeded: admitted }) }
    }

    /// A ring after this many ticks, each of which admits one request.
    fn after(step: Duration, steps: usize, ticks: u32, level: impl Fn(u32) -> Level) -> Ring {
        let mut ring = Ring::new(step, steps);
        for tick in 0..ticks {
            ring.record(TICK * tick, &moment(tick % 10, level(tick), u64::from(tick)));
        }
        ring
    }

    #[test]
    fn a_step_keeps_its_worst_moment_and_mean_rates() {
        let spike = |tick| if tick == 14 { Level::Emergency } else { Level::Normal };
        let steps = after(Duration::from_secs(1), 900, 31, spike).since(Duration::ZERO);
        assert_eq!(steps.iter().map(|step| step.begin.as_secs()).collect::<Vec<_>>(), [0, 1, 2, 3]);
        let second = &steps[1];
        assert_eq!(
            (second.worst.level, second.worst.circuit),
            (Level::Emergency, CircuitState::Open),
            "one tick of ten"
        );
        assert_eq!((second.worst.checked_out, second.worst.waiting), (9, Some(9)));
        assert_eq!((second.worst.p95, second.worst.p99), (None, Some(9.0)));
        let rates = second.rates.expect("there is a gate");
        assert!((rates.admitted - 10.0).abs() < 1e-9 && (rates.rejected - 5.0).abs() < 1.1, "{rates:?}");
        assert_eq!(steps[2].worst.level, Level::Normal);
    }

    #[test]
    fn old_steps_are_forgotten_and_a_span_is_cut_out() {
        let ring = after(Duration::from_secs(1), 5, 201, |_| Level::Normal);
        let begins = |from: u64| -> Vec<u64> {
            ring.since(Duration::from_secs(from)).iter().map(|step| step.begin.as_secs()).collect()
        };
        assert_eq!(begins(0), [15, 16, 17, 18, 19, 20], "five, and the one that has just begun");
        assert_eq!(begins(18), [18, 19, 20]);
        assert_eq!(begins(30), [0; 0]);
    }

    #[test]
    fn a_pause_of_the_process_leaves_a_gap_and_no_peak() {
        let mut ring = after(Duration::from_secs(1), 900, 21, |_| Level::Normal);
        // Nothing for a minute; 70 requests in that time.
        ring.record(Duration::from_secs(62), &moment(1, Level::Normal, 90));
        ring.record(Duration::from_secs(63), &moment(1, Level::Normal, 90));
        let steps = ring.since(Duration::ZERO);
        assert_eq!(steps.iter().map(|step| step.begin.as_secs()).collect::<Vec<_>>(), [0, 1, 2, 62, 63]);
        let rates = steps[3].rates.expect("there is a gate");
        assert!((rates.admitted - 70.0 / 60.0).abs() < 1e-9, "{rates:?}");
    }

    #[test]
    fn without_a_gate_there_are_no_rates() {
        let mut ring = Ring::new(Duration::from_secs(1), 900);
        for tick in 0..11 {
            ring.record(TICK * tick, &Moment { counts: None, ..moment(1, Level::Normal, 0) });
        }
        assert_eq!(ring.since(Duration::ZERO)[0].rates, None);
    }

    #[test]
    fn six_hours_fit_in_half_minutes() {
        let mut ring = Ring::new(Duration::from_secs(30), 720);
        for second in 0..(7 * 3600) {
            let level = if second % 3600 == 0 { Level::Moderate } else { Level::Normal };
            ring.record(Duration::from_secs(second), &moment(1, level, second));
        }
        let steps = ring.since(Duration::ZERO);
        assert_eq!(steps.len(), 721);
        assert_eq!(
            steps.iter().filter(|step| step.worst.level == Level::Moderate).count(),
            6,
            "one second of each hour"
        );
        assert!(steps.iter().all(|step| (step.rates.expect("a gate").admitted - 1.0).abs() < 1e-9));
    }
}
