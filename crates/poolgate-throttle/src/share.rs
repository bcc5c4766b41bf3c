//! The share of a client's limits that one throttle may use when several act as one client: the tabs of a browser.

use crate::{
    limits::{Limits, RATES},
    span::scaled,
};

/// A throttle's share of the limits, in slots. A slot is one request in flight; its part of the rate comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All slots except this number, which other throttles hold. `AllBut(0)`, the default, is the whole client.
    AllBut(u32),
    /// A fixed number of slots. With `held: 0` no request starts.
    Slots {
        /// Slots of this throttle.
        held: u32,
        /// The concurrency limit at the time the slots were given; `held / of` is the share of the rate.
        of: u32,
    },
}

impl Default for Share {
    fn default() -> Self {
        Self::AllBut(0)
    }
}

impl Share {
    /// This share of the limits. Without a concurrency limit there are no slots, and the limits stay whole.
    pub(crate) fn of(self, limits: Limits) -> Limits {
        let Some(slots) = limits.concurrency.map(|all| self.slots(all)) else { return limits };
        let part = self.part(&limits);
        Limits {
            rate_per_second: limits.rate_per_second.map(|rate| (rate * part).max(RATES.0)),
            // Rounded down, but at least one: a throttle without slots is stopped by the concurrency limit.
            per_minute: limits.per_minute.map(|starts| ((f64::from(starts) * part) as u32).max(1)),
            concurrency: Some(slots),
            spacing: if part > 0.0 { scaled(limits.spacing, 1.0 / part) } else { limits.spacing },
        }
    }

    /// The share of the rate, from 0 to 1.
    pub(crate) fn part(self, limits: &Limits) -> f64 {
        match (self, limits.concurrency) {
            (Self::AllBut(0), _) | (_, None) => 1.0,
            (Self::AllBut(_), Some(all)) => f64::from(self.slots(all)) / f64::from(all.max(1)),
            (Self::Slots { held, of }, _) => (f64::from(held) / f64::from(of.max(1))).min(1.0),
        }
    }

    fn slots(self, all: u32) -> u32 {
        match self {
            Self::AllBut(others) => all.saturating_sub(others),
            Self::Slots { held, .. } => held.min(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits() -> Limits {
        Limits {
            rate_per_second: Some(10.0),
            per_minute: Some(30),
            concurrency: Some(5),
            spacing: Duration::from_millis(100),
        }
    }

    #[test]
    fn a_full_share_is_the_whole() {
        assert_eq!(Share::default().of(limits()), limits());
        assert_eq!(Share::Slots { held: 5, of: 5 }.of(limits()), limits());
        assert_eq!(Share::Slots { held: 0, of: 5 }.of(Limits::default()), Limits::default(), "nothing limits");
    }

    #[test]
    fn shares_add_up() {
        let (mine, others) = (Share::AllBut(2).of(limits()), Share::Slots { held: 2, of: 5 }.of(limits()));
        assert_eq!((mine.concurrency, others.concurrency), (Some(3), Some(2)));
        assert_eq!((mine.rate_per_second, others.rate_per_second), (Some(6.0), Some(4.0)));
        assert_eq!((mine.per_minute, others.per_minute), (Some(18), Some(12)));
        assert_eq!(others.spacing, Duration::from_millis(250));
    }

    #[test]
    fn a_lowered_limit_binds_every_share() {
        let low = Limits { concurrency: Some(1), ..limits() };
        assert_eq!(Share::AllBut(2).of(low).concurrency, Some(0));
        assert_eq!(Share::Slots { held: 2, of: 5 }.of(low).concurrency, Some(1));
        assert_eq!(
            Share::Slots { held: 9, of: 0 }.of(low).rate_per_second,
            Some(10.0),
            "an invalid share gives no more than the whole"
        );
    }
}
