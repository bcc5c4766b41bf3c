//! The extreme of a value over the last seconds, in constant memory: one number for the present window and one for the
//! window before it.

use std::time::Duration;

/// The highest or lowest value of the last one to two windows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lately<T> {
    newest: T,
    before: Option<T>,
    since: Duration,
    seen_at: Option<Duration>,
}

/// An extreme, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Extreme<T> {
    pub(super) value: T,
    /// The value was watched for a whole window.
    pub(super) is_whole: bool,
}

impl<T: Copy> Lately<T> {
    /// Takes in the present value. `pick` chooses the higher or the lower one of two. After a pause of a window it begins
    /// anew.
    pub(super) fn observe(&mut self, value: T, window: Duration, pick: fn(T, T) -> T, now: Duration) -> Extreme<T> {
        if self.seen_at.is_none_or(|seen_at| now.saturating_sub(seen_at) >= window) {
            *self = Self { newest: value, before: None, since: now, seen_at: None };
        } else if now.saturating_sub(self.since) >= window {
            (self.before, self.newest, self.since) = (Some(self.newest), value, now);
        }
        self.newest = pick(self.newest, value);
        self.seen_at = Some(now);
        let value = self.before.map_or(self.newest, |before| pick(before, self.newest));
        Extreme { value, is_whole: self.before.is_some() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(4);

    /// The lowest value after this one was observed ten times a second, from a second to another one.
    fn lowest(lately: &mut Lately<u32>, value: u32, from: u32, to: u32) -> Extreme<u32> {
        let at = |tick| Duration::from_millis(100) * tick;
        (10 * from..10 * to).map(|tick| lately.observe(value, WINDOW, u32::min, at(tick))).last().expect("ticks")
    }

    #[test]
    fn a_lower_value_counts_at_once_and_a_higher_one_when_the_window_has_passed() {
        let mut lately = Lately::default();
        assert_eq!(lowest(&mut lately, 200, 100, 103), Extreme { value: 200, is_whole: false });
        assert_eq!(lowest(&mut lately, 200, 103, 106), Extreme { value: 200, is_whole: true });
        assert_eq!(lowest(&mut lately, 700, 106, 109).value, 200);
        assert_eq!(lowest(&mut lately, 700, 109, 116).value, 700);
        assert_eq!(lowest(&mut lately, 50, 116, 117).value, 50);
    }

    #[test]
    fn after_a_pause_nothing_is_known() {
        let mut lately = Lately::default();
        lowest(&mut lately, 200, 100, 110);
        assert_eq!(lowest(&mut lately, 300, 114, 115), Extreme { value: 300, is_whole: false });
    }
}
