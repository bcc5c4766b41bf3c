//! The part of the status about the other replicas in front of the same database.

use serde::{Deserialize, Serialize};

/// The replicas that share a database, as the one that is asked knows them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClusterStatus {
    /// The replica that is asked: eight hexadecimal digits, new at each start.
    pub replica: String,
    /// Whose config it serves.
    pub config: ConfigSource,
    /// Connections that its pool may have now.
    pub share: u32,
    /// `true`: the share is not agreed with the others, because the store cannot be used or has no place.
    pub is_static: bool,
    /// Why the store cannot be used; null while it can.
    pub store_trouble: Option<String>,
    /// All replicas that are heard, the one that is asked included, by id.
    pub members: Vec<ClusterMember>,
}

/// Whose config a replica serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConfigSource {
    /// None yet: it has not heard the others.
    None,
    /// That of all replicas.
    Shared,
    /// Its own: it does not reach the store.
    Own,
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClusterMember {
    /// Eight hexadecimal digits, new at each start.
    pub replica: String,
    /// What it is doing.
    pub state: MemberState,
    /// Connections granted to its pool; null for none yet.
    pub share: Option<u32>,
    /// Connections that its pool has.
    pub connections: u32,
    /// Whether it reaches the database.
    pub reaches_database: bool,
    /// Whether it publishes the config for all.
    pub publishes: bool,
    /// Time since it was last heard, in seconds.
    pub silent_seconds: f64,
}

/// What a replica is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// It has no share yet.
    Joining,
    /// It serves requests.
    Serving,
    /// It shuts down.
    Draining,
}
