//! Counts wrong tokens: limits guesses per address and the log lines about them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::address::AddressKey;

/// Wrong tokens of one address within [`PERIOD`] that get 401.
const MOST: u32 = 10;
const PERIOD: Duration = Duration::from_secs(60);
/// Maximum number of remembered addresses; beyond it the oldest is dropped.
const MOST_ADDRESSES: usize = 1000;
/// Minimum time between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// The recent wrong tokens.
#[derive(Debug, Default)]
pub(crate) struct Guesses(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By address; requests without a known address share `None`.
    wrong: HashMap<Option<AddressKey>, Wrong>,
    warned: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Wrong {
    since: Duration,
    count: u32,
}

/// The verdict on a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// The token is evaluated; `log`: a warning is due.
    Counts { log: bool },
    /// Too many wrong tokens; tokens are evaluated again after `wait`.
    TooMany { wait: Duration },
}

impl Guesses {
    /// A token arrived from this address at `now`, measured from any fixed moment.
    pub(super) fn judge(&self, sender: Option<AddressKey>, is_right: bool, now: Duration) -> Guess {
        let State { wrong, warned } = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.retain(|_, wrong| now.saturating_sub(wrong.since) < PERIOD);
        if let Some(known) = wrong.get(&sender)
            && known.count >= MOST
        {
            return Guess::TooMany { wait: (known.since + PERIOD).saturating_sub(now) };
        }
        if is_right {
            return Guess::Counts { log: false };
        }
        if wrong.len() >= MOST_ADDRESSES
            && let Some(oldest) = wrong.iter().min_by_key(|(_, wrong)| wrong.since).map(|(sender, _)| *sender)
        {
            wrong.remove(&oldest);
        }
        wrong.entry(sender).or_insert(Wrong { since: now, count: 0 }).count += 1;
        let log = warned.is_none_or(|warned| now.saturating_sub(warned) >= WARNING_INTERVAL);
        if log {
            *warned = Some(now);
        }
        Guess::Counts { log }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> Option<AddressKey> {
        Some(AddressKey::new(std::net::Ipv4Addr::from_bits(number).into()))
    }

    #[test]
    fn ten_wrong_tokens_a_minute_are_evaluated_then_not_even_the_right_one() {
        let (guesses, at) = (Guesses::default(), Duration::from_secs);
        for second in 0..10 {
            assert!(matches!(guesses.judge(address(1), false, at(second)), Guess::Counts { .. }));
        }
        assert_eq!(guesses.judge(address(1), false, at(20)), Guess::TooMany { wait: at(40) });
        assert_eq!(guesses.judge(address(1), true, at(59)), Guess::TooMany { wait: at(1) });
        assert_eq!(
            guesses.judge(address(2), true, at(59)),
            Guess::Counts { log: false },
            "other addresses are not affected"
        );
        assert_eq!(guesses.judge(address(1), true, at(60)), Guess::Counts { log: false });
    }

    #[test]
    fn wrong_tokens_are_logged_every_ten_seconds() {
        let guesses = Guesses::default();
        let logged = (0..600_u32).filter(|number| {
            let now = Duration::from_millis(100) * *number;
            guesses.judge(address(*number), false, now) == Guess::Counts { log: true }
        });
        assert_eq!(logged.count(), 6);
    }

    #[test]
    fn memory_is_bounded() {
        let guesses = Guesses::default();
        for number in 0..5000 {
            guesses.judge(address(number), false, Duration::from_millis(number.into()));
        }
        assert_eq!(guesses.0.lock().unwrap_or_else(PoisonError::into_inner).wrong.len(), MOST_ADDRESSES);
    }
}
