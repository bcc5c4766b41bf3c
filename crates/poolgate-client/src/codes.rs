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
