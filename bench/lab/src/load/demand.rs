//! When a user wants something: a Poisson process whose rate changes in steps.

use std::time::Duration;

use poolgate::demo::Random;

use crate::wire::Step;

/// The moments at which one user wants something, counted from the start of the load.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Each step's end in seconds, and the rate until then.
    steps: Vec<(f64, f64)>,
    at: f64,
}

impl Schedule {
    /// Of a user who wants `rate` things a second at a multiple of 1.
    pub(super) fn new(rate: f64, steps: &[Step]) -> Self {
        let mut end = 0.0;
        let steps = steps.iter().map(|step| {
            end += f64::from(step.seconds);
            (end, rate * step.multiple)
        });
        Self { steps: steps.collect(), at: 0.0 }
    }

    /// The next moment; `None` when there is none before the load's end.
    pub(super) fn next(&mut self, random: &mut Random) -> Option<Duration> {
        // An exponential time at rate 1 is used up at the rate of each step that it passes through.
        let mut left = random.exponential(1.0);
        for (end, rate) in &self.steps {
            let room = (end - self.at).max(0.0) * rate;
            if left < room {
                self.at += left / rate;
                return Some(Duration::from_secs_f64(self.at));
            }
            left -= room;
            self.at = self.at.max(*end);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_its_rate() {
        let steps = [(100, 0.6), (100, 4.0), (100, 0.0), (100, 1.0)];
        let steps = steps.map(|(seconds, multiple)| Step { seconds, multiple });
        let mut schedule = Schedule::new(10.0, &steps);
        let mut random = Random::new(3);
        let mut counts = [0_u32; 4];
        while let Some(at) = schedule.next(&mut random) {
            counts[(at.as_secs() / 100) as usize] += 1;
        }
        for (count, expected) in counts.into_iter().zip([600.0, 4_000.0, 0.0, 1_000.0]) {
            // Four standard deviations.
            assert!((f64::from(count) - expected).abs() <= 4.0 * f64::sqrt(expected), "{count} for {expected}");
        }
        assert_eq!(schedule.next(&mut random), None);
    }
}
