//! The budget, and the times that follow from one.

use std::time::Duration;

/// What all replicas of a cluster must agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Connections that the pools of all replicas may have together.
    pub budget: u32,
    /// Processes that may live at the same time, those of a rolling deploy included; 1 to `budget`.
    pub max_replicas: u32,
    /// Time after which a silent replica is out. Longer than the store takes to elect a leader. At least
    /// five times the time between two exchanges. PostgreSQL: 10 s. NATS: 20 s.
    pub ttl: Duration,
}

/// Settings that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidSettings {
    /// No replica may live.
    NoReplicas,
    /// Not every replica can have a connection.
    BudgetTooSmall,
}

/// After its time to live a replica without a store waits this long before it grows.
const PATIENCE: Duration = Duration::from_secs(60);

// Clocks may differ in rate by a fifth: 0.8 ttl of the slowest clock last as long as 1.2 ttl of the fastest.
const SHORTER: f64 = 0.8;
const LONGER: f64 = 1.2;

impl Settings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        if self.max_replicas == 0 {
            return Err(InvalidSettings::NoReplicas);
        }
        if self.budget < self.max_replicas {
            return Err(InvalidSettings::BudgetTooSmall);
        }
        Ok(())
    }

    /// Connections that every replica may have at the same time without asking anybody: budget / `max_replicas`.
    pub fn safe_share(&self) -> u32 {
        (self.budget / self.max_replicas.max(1)).max(1)
    }

    /// A connection for each replica that may still come.
    pub(super) fn reserve(&self, known: usize) -> u32 {
        self.max_replicas.saturating_sub(u32::try_from(known).unwrap_or(u32::MAX))
    }

    /// How long an owner trusts its grant, from the start of the exchange that confirmed it.
    pub(super) fn trust(&self) -> Duration {
        self.ttl.mul_f64(SHORTER)
    }

    /// When others take an owner's trust to have ended, from its last sign of life.
    pub(super) fn silence(&self) -> Duration {
        self.ttl.mul_f64(LONGER)
    }

    /// How long a replica may be silent and still publish for all, and get a larger share. Longer than an exchange that
    /// takes its longest time, and the pause before it.
    pub(super) fn fresh(&self) -> Duration {
        self.ttl.mul_f64(0.4)
    }

    /// How long the database must show no connection of a silent replica before its claim is given up.
    pub(super) fn quiet(&self) -> Duration {
        self.ttl.mul_f64(LONGER)
    }

    /// How long an answer of the database counts. Shorter than [`quiet`](Self::quiet) by more than the clocks differ:
    /// an owner that the database no longer shows knows it before the others act on it.
    pub(super) fn look_counts(&self) -> Duration {
        self.ttl / 2
    }

    /// How long a store must be without a ledger before a new one is written: every trust in the old one has ended.
    pub(super) fn recovery(&self) -> Duration {
        self.ttl.mul_f64(LONGER)
    }

    /// How long a replica without a store waits before it grows: those with a store have long made room for it.
    pub(super) fn before_growth(&self) -> Duration {
        self.ttl + PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings { budget: 100, max_replicas: 8, ttl: Duration::from_secs(10) };

    #[test]
    fn the_safe_share_counts_the_surge_of_a_deploy() {
        assert_eq!(SETTINGS.safe_share(), 12);
        assert_eq!((SETTINGS.reserve(4), SETTINGS.reserve(9)), (4, 0));
    }

    #[test]
    fn every_replica_needs_a_connection() {
        assert_eq!(SETTINGS.check(), Ok(()));
        assert_eq!(Settings { max_replicas: 0, ..SETTINGS }.check(), Err(InvalidSettings::NoReplicas));
        assert_eq!(Settings { budget: 7, ..SETTINGS }.check(), Err(InvalidSettings::BudgetTooSmall));
    }
}
