//! The words that explain a state to people. What actuates is the numbers of the config, never a label.

use serde::{Deserialize, Serialize};

/// How the database is: how full the pool is (checked out / capacity, averaged over two seconds), and whether the database
/// does all of its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Health {
    /// Below 70 %.
    #[default]
    Healthy,
    /// From 70 to 90 %; or the database does a part of its work: its writes fail, or it is paused.
    Degraded,
    /// Above 90 %, or the database does not answer or lets nobody in.
    Critical,
}

/// How strongly clients are slowed down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Level {
    /// Nothing is slowed.
    #[default]
    Normal,
    /// A fair rate is in force.
    Moderate,
    /// A fair rate is in force and still requests are rejected or wait.
    Aggressive,
    /// Clients do not obey, or the breaker is not closed. What a client reads when it does not know the word.
    #[serde(other)]
    Emergency,
}

impl Level {
    /// The level as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::Moderate => "MODERATE",
            Self::Aggressive => "AGGRESSIVE",
            Self::Emergency => "EMERGENCY",
        }
    }

    /// Reads a level; a word that is not known counts as [`Level::Emergency`].
    pub fn from_wire(word: &str) -> Self {
        match word {
            "NORMAL" => Self::Normal,
            "MODERATE" => Self::Moderate,
            "AGGRESSIVE" => Self::Aggressive,
            _ => Self::Emergency,
        }
    }
}

/// State of the circuit breaker between the clients and a database that may not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// Requests flow.
    #[default]
    Closed,
    /// Nothing passes.
    Open,
    /// A share of the clients may try.
    HalfOpen,
}

/// Why the config is as it is. Figures belong to the status document, so that the config stays cacheable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Demand is below capacity; nothing is limited.
    #[default]
    Healthy,
    /// More arrives than the database can serve; a fair rate is in force.
    DemandAboveCapacity,
    /// A fair rate is in force, and acquire waits are still long.
    WaitHigh,
    /// A fair rate is in force, and many requests are still rejected.
    RejectsHigh,
    /// Most requests are rejected although a fair rate is in force.
    ClientsDisobey,
    /// The fixed policy follows the pool's usage.
    PoolUsage,
    /// The database does not answer.
    DatabaseUnreachable,
    /// The database answers, and does not let this server in.
    LoginRefused,
    /// The database server has no free connection, and the pool has none left.
    ServerFull,
    /// The database is paused on purpose: requests wait.
    DatabasePaused,
    /// Nothing is limited; the database takes no writes.
    ReadOnly,
    /// Nothing is limited; the database's disk is full, so its writes fail.
    StorageFull,
    /// Nothing is limited; writes fail because somebody else holds a lock.
    WritesBlocked,
    /// The database answers again as far as the server can see; clients probe.
    Probing,
    /// The probes succeeded; more clients are let in step by step.
    Recovering,
    /// A code that this version does not know.
    #[serde(other)]
    Other,
}

/// The kind of database behind the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

impl Backend {
    /// The backend as it stands on the wire and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }
}

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look today.
    Warning,
    /// Somebody should look now.
    Critical,
}
