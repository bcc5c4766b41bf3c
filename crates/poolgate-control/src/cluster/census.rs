//! The database's own list of connections, and what it has shown over time.

use std::{collections::BTreeMap, time::Duration};

use super::{row::ReplicaId, settings::Settings};

/// Connections of each replica, as the database shows them (`pg_stat_activity`).
pub type Census = BTreeMap<ReplicaId, u32>;

/// What one reader has seen in the database.
#[derive(Clone, Debug, Default)]
pub(super) struct Witness {
    /// Since when it has looked without a gap, and when it looked last.
    looking: Option<(Duration, Duration)>,
    newest: Census,
    /// When each replica was last shown.
    shown: BTreeMap<ReplicaId, Duration>,
}

impl Witness {
    /// Takes in a census that was asked for at `asked`.
    pub(super) fn look(&mut self, census: Census, asked: Duration, now: Duration, settings: &Settings) {
        let since = match self.looking {
            Some((since, last)) if now.saturating_sub(last) < settings.look_counts() => since,
            _ => now,
        };
        self.looking = Some((since, asked));
        self.shown.extend(census.keys().map(|id| (*id, now)));
        self.shown.retain(|_, at| now.saturating_sub(*at) < 2 * settings.quiet());
        self.newest = census;
    }

    /// The newest census, if it still counts.
    pub(super) fn newest(&self, now: Duration, settings: &Settings) -> Option<&Census> {
        let (_, last) = self.looking?;
        (now.saturating_sub(last) < settings.look_counts()).then_some(&self.newest)
    }

    /// Since when this reader has reached the database without a gap, if it does.
    pub(super) fn reaching_since(&self, now: Duration, settings: &Settings) -> Option<Duration> {
        self.newest(now, settings)?;
        self.looking.map(|(since, _)| since)
    }

    /// Whether the database has shown for long enough that no connection of this replica is left.
    pub(super) fn is_gone(&self, id: ReplicaId, now: Duration, settings: &Settings) -> bool {
        let Some(since) = self.reaching_since(now, settings) else { return false };
        let shown = self.shown.get(&id).copied().unwrap_or(Duration::ZERO);
        // Between the end of the last gap, or its last appearance, and the newest look.
        let last = self.looking.map_or(Duration::ZERO, |(_, last)| last);
        last.saturating_sub(since.max(shown)) >= settings.quiet()
    }

    /// The replicas that may still have connections, with the number last shown.
    pub(super) fn visible(&self, now: Duration, settings: &Settings) -> BTreeMap<ReplicaId, u32> {
        let recent = self.shown.iter().filter(|(_, at)| now.saturating_sub(**at) < settings.quiet());
        recent.map(|(id, _)| (*id, self.newest.get(id).copied().unwrap_or(0))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings { budget: 100, max_replicas: 8, ttl: Duration::from_secs(10) };
    const ONE: ReplicaId = ReplicaId(1);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_replica_is_gone_after_long_absence_without_a_gap_in_looking() {
        let mut witness = Witness::default();
        witness.look(Census::from([(ONE, 3)]), at(0), at(0), &SETTINGS);
        for second in (2..=12).step_by(2) {
            witness.look(Census::new(), at(second), at(second), &SETTINGS);
            assert_eq!(witness.is_gone(ONE, at(second), &SETTINGS), second >= 12, "{second}");
        }
        assert!(!witness.is_gone(ONE, at(20), &SETTINGS), "nobody has looked for long");
        witness.look(Census::new(), at(20), at(20), &SETTINGS);
        assert!(!witness.is_gone(ONE, at(20), &SETTINGS), "it may have been there in the gap");
    }

    #[test]
    fn one_that_was_shown_lately_may_still_be_there() {
        let mut witness = Witness::default();
        witness.look(Census::from([(ONE, 3)]), at(0), at(0), &SETTINGS);
        witness.look(Census::new(), at(4), at(4), &SETTINGS);
        assert_eq!(witness.visible(at(4), &SETTINGS), BTreeMap::from([(ONE, 0)]));
        assert_eq!(witness.visible(at(13), &SETTINGS), BTreeMap::new());
    }
}
