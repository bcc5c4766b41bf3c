//! What a replica tells the others about itself.

use std::{fmt, str::FromStr};

use poolgate_types::ConfigVersion;
use serde::{Deserialize, Serialize};

use super::audience::Audience;
use crate::Sample;

/// One start of one process: a random number, new at each start. Its eight hexadecimal digits are also the second part
/// of the `application_name` of its connections, by which the database tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplicaId(pub u32);

/// A text that is no [`ReplicaId`]: not eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidReplicaId;

/// What a replica is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has no share yet.
    Joining,
    /// It serves requests.
    Serving,
    /// It finishes what is begun, and gives its connections back.
    Draining,
    /// It has no connection left and opens none.
    Left,
}

/// A replica's row in the store. Only its owner writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The owner.
    pub id: ReplicaId,
    /// Grows with each write.
    pub seq: u64,
    /// What it is doing.
    pub state: State,
    /// Revision of the newest [`Ledger`](super::Ledger) that it obeys; 0 for none.
    pub applied: u64,
    /// Revision of the newest ledger that it has read; 0 for none.
    pub read: u64,
    /// Connections that its pool may have now.
    pub limit: u32,
    /// Connections that its pool has, including those being opened and closed.
    pub holds: u32,
    /// Connections that it could use.
    pub wants: u32,
    /// Whether it reaches the database, and its own circuit breaker is closed.
    pub reaches_database: bool,
    /// Whether it has no pool, and its figures are those of a source that all replicas of the cluster watch.
    #[serde(default)]
    pub watches: bool,
    /// What it has counted since its start.
    pub totals: Totals,
    /// Its present figures.
    pub gauges: Gauges,
    /// Who hears the config from it.
    #[serde(default)]
    pub audience: Audience,
    /// The cluster's config that it serves, if it knows one.
    pub config: Option<ConfigVersion>,
}

/// Counts since the replica's start: a reading that is lost or doubled does no harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Requests that arrived, without those over their quota.
    pub arrivals: u64,
    /// Requests rejected, without those over their quota.
    pub rejected: u64,
    /// Requests rejected because their client sent more than its share.
    pub over_quota: u64,
    /// Permits given back.
    pub completed: u64,
}

/// Present figures of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauges {
    /// The gate's permits by the settings and the share, or fewer if the database does more with fewer.
    pub permits: u32,
    /// Connections that the pool may have.
    pub capacity: u32,
    /// Connections in use.
    pub checked_out: u32,
    /// Connections that are open.
    pub open: u32,
    /// Connections being closed or tested.
    pub closing: u32,
    /// Callers that wait for a connection.
    pub waiting: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests queued at the gate.
    pub queued: u32,
    /// Clients with an open stream.
    pub streaming_clients: u32,
}

impl Gauges {
    /// The figures of a sample that the others must know.
    pub const fn of(sample: &Sample) -> Self {
        let Sample { pool, gate, streaming_clients, .. } = sample;
        Self {
            permits: gate.permits,
            capacity: pool.capacity,
            checked_out: pool.checked_out,
            open: pool.open,
            closing: pool.closing,
            waiting: pool.waiting,
            in_flight: gate.in_flight,
            queued: gate.queued,
            streaming_clients: *streaming_clients,
        }
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for ReplicaId {
    type Err = InvalidReplicaId;

    fn from_str(text: &str) -> Result<Self, InvalidReplicaId> {
        let is_plain = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u32::from_str_radix(text, 16).ok().filter(|_| is_plain).map(Self).ok_or(InvalidReplicaId)
    }
}

impl From<ReplicaId> for String {
    fn from(id: ReplicaId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ReplicaId {
    type Error = InvalidReplicaId;

    fn try_from(text: String) -> Result<Self, InvalidReplicaId> {
        text.parse()
    }
}

impl fmt::Display for InvalidReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a replica's id has eight hexadecimal digits")
    }
}

impl std::error::Error for InvalidReplicaId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_eight_hexadecimal_digits() {
        assert_eq!("00c0ffee".parse(), Ok(ReplicaId(0x00c0_ffee)));
        assert_eq!(ReplicaId(0x00c0_ffee).to_string(), "00c0ffee");
        for wrong in ["", "c0ffee", "+0c0ffee", "00c0ffeeg", "00c0 fee"] {
            assert_eq!(wrong.parse::<ReplicaId>(), Err(InvalidReplicaId), "{wrong}");
        }
    }
}
