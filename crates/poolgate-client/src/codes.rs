//! Words as they cross the border: their places in the lists of `js/codes.js`.

use poolgate_throttle::{Configured, InvalidConfig, Priority, RejectReason};
use poolgate_types::{CircuitState, Health, Level};

/// A level beyond the list is a word that this version does not know.
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
        RejectReason::QueueFull => 0,
        RejectReason::QueueTimeout => 1,
        RejectReason::CircuitOpen => 2,
        // There is no other yet.
        _ => 3,
    }
}

pub(crate) const fn of_configured(configured: Result<Configured, InvalidConfig>) -> u8 {
    match configured {
        Ok(Configured::Applied) => 0,
        Ok(Configured::Missed) => 1,
        Ok(_) => 2,
        Err(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;
    use crate::throttle::{READING, REASON, RETRY_AFTER, SUBJECT};

    const SHELL: &str = include_str!("../js/codes.js");

    /// The words of one of the shell's lists.
    fn list(name: &str) -> Vec<&'static str> {
        let (_, rest) = SHELL.split_once(&format!("export const {name} = [")).expect("the list is there");
        let (list, _) = rest.split_once(']').expect("a list ends");
        list.split(',').map(|word| word.trim().trim_matches('"')).collect()
    }

    /// The number of one of the shell's names.
    fn number(name: &str, member: &str) -> u8 {
        let (_, rest) = SHELL.split_once(&format!("export const {name} = {{")).expect("the names are there");
        let (names, _) = rest.split_once('}').expect("names end");
        let (_, number) = names
            .split(',')
            .filter_map(|pair| pair.split_once(':'))
            .find(|(name, _)| name.trim() == member)
            .expect("the name is there");
        number.trim().parse().expect("a code")
    }

    /// The word for a value: `half_open` for `HalfOpen`.
    fn word(value: impl Debug) -> String {
        let name = format!("{value:?}");
        name.char_indices().fold(String::new(), |mut word, (at, character)| {
            if at > 0 && character.is_uppercase() {
                word.push('_');
            }
            word.extend(character.to_lowercase());
            word
        })
    }

    #[test]
    fn a_word_has_the_same_place_on_both_sides() {
        let levels = [Level::Normal, Level::Moderate, Level::Aggressive, Level::Emergency];
        assert_eq!(list("LEVELS"), levels.map(Level::as_str));
        assert_eq!(levels.map(|value| level(of_level(value))), levels);
        let healths = [Health::Healthy, Health::Degraded, Health::Critical];
        assert_eq!(list("HEALTHS"), healths.map(|value| word(value).to_uppercase()));
        assert_eq!(healths.map(|value| health(of_health(value))), healths);
        assert_eq!(healths.map(of_health), [0, 1, 2]);
        let circuits = [CircuitState::Closed, CircuitState::Open, CircuitState::HalfOpen];
        assert_eq!(list("CIRCUITS"), circuits.map(word));
        assert_eq!(circuits.map(of_circuit), [0, 1, 2]);
        assert_eq!(list("PRIORITIES"), [0, 1, 2, 3].map(|code| word(priority(code))));
    }

    #[test]
    fn what_is_not_known_is_the_worst_level_and_a_normal_priority() {
        assert_eq!((level(4), level(u8::MAX)), (Level::Emergency, Level::Emergency));
        assert_eq!((priority(4), priority(u8::MAX)), (Priority::Normal, Priority::Normal));
    }

    #[test]
    fn a_code_has_the_same_name_on_both_sides() {
        let reasons =
            [RejectReason::QueueFull, RejectReason::QueueTimeout, RejectReason::CircuitOpen, RejectReason::Closed];
        let names = ["full", "timeout", "open", "closed"];
        assert_eq!(names.map(|name| number("Reason", name)), reasons.map(of_reason));
        let learned = [Ok(Configured::Applied), Ok(Configured::Missed), Ok(Configured::Unchanged)];
        assert_eq!(["applied", "missed", "unchanged"].map(|name| number("Learned", name)), learned.map(of_configured));
        assert_eq!(["success", "failure", "aborted"].map(|name| number("Outcome", name)), [0, 1, 2]);
        let events = ["start", "reject", "level", "breaker", "stale", "ask"].map(|name| number("Event", name));
        assert_eq!(events, [1, 2, 3, 4, 5, 6]);
        let news = ["noContact", "notFound", "headerMissing", "closed"].map(|name| number("News", name));
        assert_eq!(news, [0, 1, 2, 3]);
        let details = ["subject", "reason", "retryAfter", "reading"].map(|name| usize::from(number("Detail", name)));
        assert_eq!(details, [SUBJECT, REASON, RETRY_AFTER, READING]);
    }
}
