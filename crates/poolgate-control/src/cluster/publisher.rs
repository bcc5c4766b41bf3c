//! Who decides for all: one replica publishes the config, so that all serve one document and the rate is corrected no
//! faster than by a single server.

use std::time::Duration;

use super::row::{ReplicaId, Row, State};

/// A replica that does not reach the store publishes for its own clients after this time: a newcomer says nothing
/// before.
pub const NEWCOMERS_SILENCE: Duration = Duration::from_secs(2);

/// The replica that publishes: of those that serve and reach the database, the one with the lowest id; if none reaches
/// the database, the lowest of those that serve; if none serves, the lowest of all that are left. `None` without rows.
pub(super) fn publisher(rows: impl Iterator<Item = Candidate>) -> Option<ReplicaId> {
    let rank = |row: &Candidate| match (row.state, row.reaches_database) {
        (State::Serving, true) => 0,
        (State::Serving, false) => 1,
        (State::Joining, _) => 2,
        (State::Draining | State::Left, _) => 3,
    };
    rows.filter(|row| row.state != State::Left).min_by_key(|row| (rank(row), row.id)).map(|row| row.id)
}

/// What counts for this choice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) id: ReplicaId,
    pub(super) state: State,
    pub(super) reaches_database: bool,
}

impl From<&Row> for Candidate {
    fn from(row: &Row) -> Self {
        Self { id: row.id, state: row.state, reaches_database: row.reaches_database }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(u32, State, bool)]) -> Option<u32> {
        let row = |(id, state, reaches_database): &_| Candidate {
            id: ReplicaId(*id),
            state: *state,
            reaches_database: *reaches_database,
        };
        publisher(rows.iter().map(row)).map(|id| id.0)
    }

    #[test]
    fn a_healthy_replica_publishes_for_a_sick_an_idle_and_a_leaving_one() {
        use State::{Draining, Joining, Left, Serving};
        assert_eq!(of(&[(3, Serving, true), (1, Serving, false), (0, Joining, true)]), Some(3));
        assert_eq!(of(&[(3, Serving, false), (2, Serving, false)]), Some(2), "no replica reaches the database");
        assert_eq!(of(&[(1, Left, true), (2, Draining, true)]), Some(2));
        assert_eq!(of(&[]), None);
    }
}
