//! Sums over the last two seconds, kept in slots, so that uneven ticks and pauses need no special case.

use std::time::Duration;

const SLOT: Duration = Duration::from_millis(100);
const SLOTS: u64 = 20;

/// Length of the window.
pub(crate) const WINDOW: Duration = Duration::from_millis(100 * SLOTS);

/// A weighted sum over the last two seconds, exact to a slot of 100 ms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    slots: [Slot; SLOTS as usize],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    number: u64,
    value: f64,
    weight: f64,
}

impl Window {
    /// Adds a value with its weight, which is a time or a count.
    pub(crate) fn add(&mut self, value: f64, weight: f64, now: Duration) {
        let number = slot_number(now);
        if let Some(slot) = self.slots.get_mut((number % SLOTS) as usize) {
            if slot.number != number {
                *slot = Slot { number, value: 0.0, weight: 0.0 };
            }
            slot.value += value;
            slot.weight += weight;
        }
    }

    /// Sum of values / sum of weights; `None` if the weights are zero.
    pub(crate) fn ratio(&self, now: Duration) -> Option<f64> {
        let (value, weight) = self.sums(now);
        (weight > 0.0).then(|| value / weight)
    }

    /// Sum of values and sum of weights.
    pub(crate) fn sums(&self, now: Duration) -> (f64, f64) {
        let newest = slot_number(now);
        let in_window = |slot: &&Slot| slot.number <= newest && newest - slot.number < SLOTS;
        self.slots
            .iter()
            .filter(in_window)
            .fold((0.0, 0.0), |(value, weight), slot| (value + slot.value, weight + slot.weight))
    }
}

fn slot_number(now: Duration) -> u64 {
    (now.as_millis() / SLOT.as_millis()).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut window = Window::default();
        window.add(10.0, 1.0, Duration::from_millis(50));
        window.add(20.0, 1.0, Duration::from_millis(1000));
        assert_eq!(window.ratio(Duration::from_millis(1900)), Some(15.0));
        assert_eq!(window.ratio(Duration::from_millis(2000)), Some(20.0));
        assert_eq!(window.ratio(Duration::from_secs(60)), None);
    }

    #[test]
    fn a_slot_is_used_again_after_a_round() {
        let mut window = Window::default();
        window.add(10.0, 1.0, Duration::from_millis(100));
        window.add(3.0, 1.0, Duration::from_millis(2100));
        assert_eq!(window.sums(Duration::from_millis(2100)), (3.0, 1.0));
    }
}
