//! `cluster.*`: sharing the database's connections, and what is known of the clients, with other replicas.

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::ClusterStore;

/// Connections that each replica may open outside its pool: its own to the store, one to watch the database, one for a
/// connection test and one for a cleanup.
const OUTSIDE_THE_POOL: u32 = 4;

/// `cluster.*`: sharing the database's connections with other replicas, and serving one config. With `watch.url` all must
/// watch the same source, and share no connections. The same settings for all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterSettings {
    /// Where the replicas meet: `postgres` for a table in the database itself; `nats://user:password@host:4222` or
    /// `tls://…` for a bucket in NATS JetStream, with several servers separated by commas; or nothing for a server that
    /// does not know of others. Default: nothing.
    pub store: ClusterStore,
    /// Connections that all replicas together may have: `max_connections` of the server without what it reserves and
    /// what others use. At least five for each of `max_replicas`, because each replica may open four outside its pool.
    /// Required with a store, except with `watch.url`. Default: 0.
    pub connections: u32,
    /// Maximum number of replicas at the same time, 1 to 64; those of a rolling deploy count twice. Default: 8.
    pub max_replicas: u32,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self { store: ClusterStore::None, connections: 0, max_replicas: 8 }
    }
}

impl ClusterSettings {
    /// Whether the server shares its database with others.
    pub fn is_on(&self) -> bool {
        self.store != ClusterStore::None
    }

    /// Connections that the pools of all replicas may have together.
    pub fn pooled_connections(&self) -> u32 {
        self.connections.saturating_sub(OUTSIDE_THE_POOL.saturating_mul(self.max_replicas))
    }
}
