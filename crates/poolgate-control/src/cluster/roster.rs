//! Who is there, as one reader sees it: a replica is heard while its row changes, by the reader's own clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use poolgate_types::ConfigVersion;

use super::{
    row::{ReplicaId, Row, State},
    settings::Settings,
};

/// Rows that one reader keeps at most; the store's rows are input.
const MOST_ROWS: usize = 1024;

/// The rows, and when each last changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster(BTreeMap<ReplicaId, Known>);

/// A row, and when the reader saw it change.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) row: Row,
    pub(super) changed: Duration,
}

impl Roster {
    /// Takes in all rows of the store. Rows that are gone from it stay until they are silent.
    pub(super) fn read(&mut self, mut rows: Vec<Row>, now: Duration, settings: &Settings) {
        rows.truncate(MOST_ROWS);
        // A silent row that is still in the store must not be taken for a new one.
        let stored: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
        self.0.retain(|id, known| stored.contains(id) || !known.is_silent(now, settings));
        for row in rows {
            match self.0.get_mut(&row.id) {
                // A late write of an older row changes nothing.
                Some(known) if known.row.seq >= row.seq => {}
                Some(known) => *known = Known { row, changed: now },
                // A row that is seen for the first time may be old. It counts as heard, which only delays.
                None => drop(self.0.insert(row.id, Known { row, changed: now })),
            }
        }
    }

    /// The row of a replica that is not silent.
    pub(super) fn get(&self, id: ReplicaId, now: Duration, settings: &Settings) -> Option<&Known> {
        self.0.get(&id).filter(|known| !known.is_silent(now, settings))
    }

    /// All replicas that are not silent, by id.
    pub(super) fn heard<'a>(
        &'a self,
        now: Duration,
        settings: &'a Settings,
    ) -> impl Iterator<Item = &'a Known> + use<'a> {
        self.0.values().filter(move |known| !known.is_silent(now, settings))
    }

    /// The newest config that any replica serves.
    pub(super) fn newest_config(&self) -> Option<ConfigVersion> {
        self.0.values().filter_map(|known| known.row.config).max()
    }

    /// The newest revision that any replica has read.
    pub(super) fn newest_revision(&self) -> u64 {
        self.0.values().map(|known| known.row.read).max().unwrap_or(0)
    }
}

impl Known {
    pub(super) fn is_silent(&self, now: Duration, settings: &Settings) -> bool {
        now.saturating_sub(self.changed) >= settings.silence()
    }

    /// Whether it was heard lately. One that was not may be gone, although it is not silent yet.
    pub(super) fn is_fresh(&self, now: Duration, settings: &Settings) -> bool {
        now.saturating_sub(self.changed) < settings.fresh()
    }

    /// Whether it takes part in the division.
    pub(super) fn is_member(&self) -> bool {
        matches!(self.row.state, State::Joining | State::Serving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Audience, Gauges, Totals};

    const SETTINGS: Settings = Settings { budget: 100, max_replicas: 8, ttl: Duration::from_secs(10) };

    fn row(seq: u64, holds: u32) -> Row {
        Row {
            id: ReplicaId(1),
            seq,
            state: State::Serving,
            applied: 0,
            read: 0,
            limit: 9,
            holds,
            wants: 9,
            reaches_database: true,
            watches: false,
            totals: Totals::default(),
            gauges: Gauges::default(),
            audience: Audience::default(),
            config: None,
        }
    }

    #[test]
    fn a_replica_is_heard_while_its_row_changes_and_a_silent_row_stays_silent_in_the_store() {
        let at = Duration::from_secs;
        let mut roster = Roster::default();
        roster.read(vec![row(5, 1)], at(0), &SETTINGS);
        roster.read(vec![row(4, 2)], at(6), &SETTINGS);
        assert_eq!(roster.get(ReplicaId(1), at(6), &SETTINGS).map(|known| known.row.holds), Some(1), "a late write");
        for second in 6..40 {
            roster.read(vec![row(5, 1)], at(second), &SETTINGS);
            assert_eq!(roster.get(ReplicaId(1), at(second), &SETTINGS).is_some(), second < 12, "{second}");
        }
        roster.read(vec![row(6, 1)], at(40), &SETTINGS);
        assert!(roster.get(ReplicaId(1), at(40), &SETTINGS).is_some(), "back");
    }
}
