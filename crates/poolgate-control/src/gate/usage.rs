//! How much each caller was served recently.

use std::time::Duration;

use super::recent::Recent;

/// Time constant of the memory: after this time a third of a use still counts.
const MEMORY: Duration = Duration::from_secs(10);

/// Steps of weight per doubling of use. Finer steps would share more evenly, but leave fewer equal callers, among which
/// the newest request goes first.
const STEPS_PER_DOUBLING: f64 = 2.0;

/// Requests admitted for each caller recently, as counts that decay. Remembers at most 10,000 callers.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage(Recent<Use>);

/// How heavy a caller is, in steps of 40 % more use; a smaller difference is noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Weight(u8);

#[derive(Clone, Copy, Debug, Default)]
struct Use {
    count: f64,
    at: Duration,
}

impl Usage {
    /// A request of the caller was admitted.
    pub(super) fn add(&mut self, caller: u64, now: Duration) {
        let count = 1.0 + self.count(caller, now);
        self.0.set(caller, Use { count, at: now });
    }

    /// The weight of a caller that stands for this many clients.
    pub(super) fn weight(&mut self, caller: u64, clients: u32, now: Duration) -> Weight {
        let each = self.count(caller, now) / f64::from(clients.max(1));
        // `as` saturates.
        Weight((STEPS_PER_DOUBLING * (1.0 + each).log2()) as u8)
    }

    fn count(&mut self, caller: u64, now: Duration) -> f64 {
        let known = self.0.get(caller).unwrap_or_default();
        let age = now.saturating_sub(known.at).as_secs_f64() / MEMORY.as_secs_f64();
        known.count * (-age).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn used(times: u32) -> Usage {
        let mut usage = Usage::default();
        for _ in 0..times {
            usage.add(7, NOW);
        }
        usage
    }

    #[test]
    fn two_steps_are_twice_the_use() {
        let steps = [0, 1, 3, 7, 15].map(|times| used(times).weight(7, 1, NOW));
        assert_eq!(steps, [0, 2, 4, 6, 8].map(Weight));
        assert_eq!(used(200).weight(8, 1, NOW), Weight(0), "another caller");
    }

    #[test]
    fn many_clients_behind_one_address_are_light_together() {
        assert_eq!(used(70).weight(7, 10, NOW), used(7).weight(7, 1, NOW));
    }

    #[test]
    fn use_is_forgotten() {
        let mut usage = used(1000);
        assert!(usage.weight(7, 1, NOW + MEMORY) < usage.weight(7, 1, NOW));
        assert_eq!(usage.weight(7, 1, NOW + 10 * MEMORY), Weight(0));
        assert_eq!(
            usage.weight(7, 1, Duration::ZERO),
            usage.weight(7, 1, NOW),
            "a clock that goes backwards stands still"
        );
    }
}
