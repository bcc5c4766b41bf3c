//! The mean time for which a slot is held, by Little's law: slots in use, summed over time, per completed request.
//!
//! An outage says nothing about it. Requests that wait for a database that does not answer hold their slots until they
//! are ended, which may be long after it has come back. So when the circuit breaker opens, the estimate goes back to what
//! it was before the trouble, and stays so until the breaker is closed.

use std::time::Duration;

use poolgate_types::CircuitState;

use crate::ratio::RecentRatio;

/// Trouble begins less than this long before the breaker opens.
const CALM: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default)]
pub(crate) struct Hold {
    ratio: RecentRatio,
    in_use: u32,
    calm: Calm,
    /// The estimate is from before an outage that is not over.
    is_kept: bool,
}

/// An estimate that is 5 to 10 s old, in constant memory.
#[derive(Clone, Debug, Default)]
struct Calm {
    newest: Option<f64>,
    before: Option<f64>,
    at: Duration,
}

impl Hold {
    /// Takes in what happened during `elapsed`.
    pub(crate) fn update(
        &mut self,
        in_use: u32,
        completed: u64,
        circuit: CircuitState,
        now: Duration,
        elapsed: Duration,
    ) {
        let mean_in_use = f64::midpoint(self.in_use.into(), in_use.into());
        self.in_use = in_use;
        match circuit {
            CircuitState::Open => {
                if let Some(calm) = std::mem::take(&mut self.calm).before {
                    (self.ratio, self.is_kept) = (RecentRatio::beginning_at(calm), true);
                }
            }
            CircuitState::HalfOpen => {}
            CircuitState::Closed => {
                self.is_kept = false;
                self.calm.note(self.ratio.value(), now);
            }
        }
        if !self.is_kept {
            self.ratio.add(mean_in_use * elapsed.as_secs_f64(), completed as f64, elapsed);
        }
    }

    /// In seconds; `None` before the first completed request.
    pub(crate) fn mean(&self) -> Option<f64> {
        self.ratio.value()
    }

    /// The shortest that it may be, if all requests in progress are about to end.
    pub(crate) fn at_least(&self) -> Option<f64> {
        self.ratio.at_least(self.in_use.into())
    }

    /// Relative standard deviation of the estimate while it is young.
    pub(crate) fn noise(&self) -> f64 {
        self.ratio.noise()
    }

    pub(crate) fn in_use(&self) -> u32 {
        self.in_use
    }
}

impl Calm {
    fn note(&mut self, estimate: Option<f64>, now: Duration) {
        if now.saturating_sub(self.at) >= CALM {
            *self = Self { newest: estimate, before: self.newest, at: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct World {
        hold: Hold,
        now: Duration,
    }

    impl World {
        /// Some seconds with so many slots in use, and so many requests completed in each tenth of a second.
        fn run(&mut self, seconds: u32, in_use: u32, completed: u64, circuit: CircuitState) -> f64 {
            let tick = Duration::from_millis(100);
            for _ in 0..10 * seconds {
                self.now += tick;
                self.hold.update(in_use, completed, circuit, self.now, tick);
            }
            self.hold.mean().expect("requests have ended")
        }
    }

    #[test]
    fn an_outage_does_not_change_it() {
        let mut world = World::default();
        // 20 slots and 400 requests a second: 50 ms.
        let before = world.run(20, 20, 40, CircuitState::Closed);
        assert!((before - 0.05).abs() < 0.001, "{before}");
        let in_trouble = world.run(3, 20, 0, CircuitState::Closed);
        assert!(in_trouble > 1.0, "{in_trouble}: nothing ends any more");
        let open = world.run(15, 20, 0, CircuitState::Open);
        assert!((open - before).abs() < 0.001, "{open}");
        // Some requests of before still wait.
        let ramp = world.run(5, 21, 2, CircuitState::HalfOpen);
        assert!((ramp - before).abs() < 0.001, "{ramp}");
        let after = world.run(5, 20, 40, CircuitState::Closed);
        assert!((after - before).abs() < 0.001, "{after}");
    }

    #[test]
    fn without_a_time_before_the_outage_it_is_learned_from_the_probes() {
        let mut world = World::default();
        world.hold.update(0, 0, CircuitState::Open, world.now, Duration::ZERO);
        let ramp = world.run(5, 4, 1, CircuitState::HalfOpen);
        assert!((ramp - 0.4).abs() < 0.05, "{ramp}");
        let slower = world.run(5, 8, 1, CircuitState::Closed);
        assert!((slower - 0.8).abs() < 0.1, "{slower}");
    }
}
