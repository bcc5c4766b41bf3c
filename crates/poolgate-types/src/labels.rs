//! Labels that explain a state to people. Clients act on the numbers of the config, not on labels.

use serde::{Deserialize, Serialize};

/// How full the pool is (checked out / capacity, averaged over two seconds), and whether the database works without
/// restriction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Health {
    /// Below 70 %.
    #[default]
    Healthy,
    /// From 70 to 90 %; or the database works with restrictions: writes fail, or it is paused.
    Degraded,
    /// Above 90 %; or the database does not answer or refuses the login. Unknown words are read as this health.
    #[serde(other)]
    Critical,
}

/// How strongly clients are limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Level {
    /// No limits.
    #[default]
    Normal,
    /// A fair rate is in force.
    Moderate,
    /// A fair rate is in force, yet many requests are rejected or waits are long.
    Aggressive,
    /// Clients do not obey, or the breaker is not closed. Unknown words are read as this level.
    #[serde(other)]
    Emergency,
}

impl Level {
    /// The level's name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::Moderate => "MODERATE",
            Self::Aggressive => "AGGRESSIVE",
            Self::Emergency => "EMERGENCY",
        }
    }

    /// Reads a level; an unknown word counts as [`Level::Emergency`].
    pub fn from_wire(word: &str) -> Self {
        match word {
            "NORMAL" => Self::Normal,
            "MODERATE" => Self::Moderate,
            "AGGRESSIVE" => Self::Aggressive,
            _ => Self::Emergency,
        }
    }
}

/// State of the circuit breaker between the clients and the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// Requests flow.
    #[default]
    Closed,
    /// Only probes pass.
    Open,
    /// A share of the clients may probe.
    HalfOpen,
}

/// Why the limits are as they are. Figures are in the status document, so that the config stays cacheable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Demand is below capacity; nothing is limited.
    #[default]
    Healthy,
    /// Demand exceeds what the database can serve; a fair rate is in force.
    DemandAboveCapacity,
    /// A fair rate is in force, yet acquire waits are still long.
    WaitHigh,
    /// A fair rate is in force, yet many requests are still rejected.
    RejectsHigh,
    /// Most requests are rejected although a fair rate is in force.
    ClientsDisobey,
    /// The fixed policy follows the pool's usage.
    PoolUsage,
    /// The database does not answer.
    DatabaseUnreachable,
    /// The database answers but refuses this server's login.
    LoginRefused,
    /// The database server has no free connection, and neither has the pool.
    ServerFull,
    /// The database is paused by an operator: requests wait.
    DatabasePaused,
    /// Nothing is limited; the database rejects writes.
    ReadOnly,
    /// Nothing is limited; the database's disk is full, so its writes fail.
    StorageFull,
    /// Nothing is limited; writes fail because another session holds a lock.
    WritesBlocked,
    /// As far as the server knows the database answers again; clients probe.
    Probing,
    /// The probes succeeded; clients are admitted step by step.
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
    /// The backend's name on the wire and in logs.
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
    /// No action needed.
    Info,
    /// Look into it today.
    Warning,
    /// Look into it now.
    Critical,
}
