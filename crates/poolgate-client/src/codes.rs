//! Codes of the words that cross between JavaScript and WebAssembly. `cargo xtask contract` writes them to `js/contract.js`.

use poolgate_throttle::{Configured, InvalidConfig, Priority, RejectReason};
use poolgate_types::{CircuitState, Health, Level};

/// Declares a module of codes, with their names for the test that writes `js/contract.js`.
macro_rules! codes {
    ($(#[$doc:meta])* $kind:ident { $($name:ident = $code:literal),+ $(,)? }) => {
        $(#[$doc])*
        pub(crate) mod $kind {
            $(
                #[allow(dead_code, reason = "JavaScript uses it")]
                pub(crate) const $name: u8 = $code;
            )+

            #[cfg(all(test, not(target_arch = "wasm32")))]
            pub(crate) const ALL: &[(&str, u8)] = &[$((stringify!($name), $code)),+];
        }
    };
}

codes! {
    /// What `Throttle::poll` tells; 0 is nothing.
    event { START = 1, REJECT = 2, LEVEL = 3, BREAKER = 4, STALE = 5, ASK = 6, OTHER = 7 }
}
codes! {
    /// Places of the details: of the last event, of the last rejection, and of the last reading.
    detail { SUBJECT = 0, REASON = 1, RETRY_AFTER = 2, READING = 3 }
}
codes! {
    /// News without content.
    news { NO_CONTACT = 0, NOT_FOUND = 1, HEADER_MISSING = 2, CLOSED = 3 }
}
codes! {
    /// Why a request is rejected.
    reason { FULL = 0, TIMEOUT = 1, OPEN = 2, CLOSED = 3 }
}
codes! {
    /// How a request has ended.
    outcome { SUCCESS = 0, FAILURE = 1, ABORTED = 2 }
}
codes! {
    /// What became of news.
    learned { APPLIED = 0, MISSED = 1, UNCHANGED = 2, INVALID = 3 }
}

/// An unknown code counts as the most severe level.
pub(crate) const fn level(code: u8) -> Level {
    match code {
        0 => Level::Normal,
        1 => Level::Moderate,
        2 => Level::Aggressive,
        _ => Level::Emergency,
    }
}

pub(crate) const fn of_level(level: Level) -> u8 {
    match level {
        Level::Normal => 0,
        Level::Moderate => 1,
        Level::Aggressive => 2,
        Level::Emergency => 3,
    }
}

pub(crate) const fn health(code: u8) -> Health {
    match code {
        0 => Health::Healthy,
        1 => Health::Degraded,
        _ => Health::Critical,
    }
}

pub(crate) const fn of_health(health: Health) -> u8 {
    match health {
        Health::Healthy => 0,
        Health::Degraded => 1,
        Health::Critical => 2,
    }
}

pub(crate) const fn of_circuit(state: CircuitState) -> u8 {
    match state {
        CircuitState::Closed => 0,
        CircuitState::Open => 1,
        CircuitState::HalfOpen => 2,
    }
}

/// An unknown code counts as normal.
pub(crate) const fn priority(code: u8) -> Priority {
    match code {
        0 => Priority::Low,
        2 => Priority::High,
        3 => Priority::Critical,
        _ => Priority::Normal,
    }
}

pub(crate) const fn of_reason(reason: RejectReason) -> u8 {
    match reason {
        RejectReason::QueueFull => reason::FULL,
        RejectReason::QueueTimeout => reason::TIMEOUT,
        RejectReason::CircuitOpen => reason::OPEN,
        // There is no other yet.
        _ => reason::CLOSED,
    }
}

pub(crate) const fn of_configured(configured: Result<Configured, InvalidConfig>) -> u8 {
    match configured {
        Ok(Configured::Applied) => learned::APPLIED,
        Ok(Configured::Missed) => learned::MISSED,
        Ok(_) => learned::UNCHANGED,
        Err(_) => learned::INVALID,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_stands_for_the_same_word_in_both_directions() {
        let levels = [Level::Normal, Level::Moderate, Level::Aggressive, Level::Emergency];
        assert_eq!(levels.map(|value| level(of_level(value))), levels);
        let healths = [Health::Healthy, Health::Degraded, Health::Critical];
        assert_eq!(healths.map(|value| health(of_health(value))), healths);
        assert_eq!(healths.map(of_health), [0, 1, 2]);
        let circuits = [CircuitState::Closed, CircuitState::Open, CircuitState::HalfOpen];
        assert_eq!(circuits.map(of_circuit), [0, 1, 2]);
    }

    #[test]
    fn what_is_not_known_is_the_worst_level_and_a_normal_priority() {
        assert_eq!((level(4), level(u8::MAX)), (Level::Emergency, Level::Emergency));
        assert_eq!((priority(4), priority(u8::MAX)), (Priority::Normal, Priority::Normal));
    }

    #[test]
    fn each_reason_and_each_outcome_of_news_has_a_code_of_its_own() {
        let reasons =
            [RejectReason::QueueFull, RejectReason::QueueTimeout, RejectReason::CircuitOpen, RejectReason::Closed];
        assert_eq!(reasons.map(of_reason), [0, 1, 2, 3]);
        let learned = [Ok(Configured::Applied), Ok(Configured::Missed), Ok(Configured::Unchanged)];
        assert_eq!(learned.map(of_configured), [0, 1, 2]);
    }
}
