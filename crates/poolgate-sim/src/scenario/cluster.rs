//! Several servers in front of one database.

use std::time::Duration;

use anyhow::{Result, ensure};
use poolgate_control::cluster;
use serde::Deserialize;

/// Time to live of a replica that says nothing, as with a store in PostgreSQL.
const TTL: Duration = Duration::from_secs(10);
/// The ledger has numbers for as many replicas.
const MOST_REPLICAS: u32 = 64;

/// Several servers, called replicas, that share the database's connections and meet in a store.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// Replicas at the start, 1 to `max_replicas`. Default 4.
    pub replicas: u32,
    /// Connections that the pools of all replicas may have together, from `max_replicas` to 10,000. Default 84. One of them
    /// stays free for each replica that may still come.
    pub connections: u32,
    /// The most replicas at the same time, those of a deploy included, 1 to 64. Default 8.
    pub max_replicas: u32,
    /// Mean time of an exchange with the store, there and back, in milliseconds, 0 to 60,000. Each way takes half to one and
    /// a half times its half. Default 10.
    pub exchange_ms: f64,
    /// Share of the messages to and from the store that is lost, 0 to 1. Default 0.
    pub loss: f64,
    /// Each replica's clock is too fast or too slow by up to this share, 0 to 0.2. Default 0.02.
    pub clock_spread: f64,
}

impl Cluster {
    /// What all replicas agree on.
    pub fn settings(&self) -> cluster::Settings {
        cluster::Settings { budget: self.connections, max_replicas: self.max_replicas, ttl: TTL }
    }

    /// Connections that the pools of this many replicas have together.
    pub fn shared_by(&self, replicas: u32) -> u32 {
        self.connections.saturating_sub(self.max_replicas.saturating_sub(replicas))
    }

    /// Checks every range.
    pub(super) fn check(&self) -> Result<()> {
        let Self { replicas, connections, max_replicas, exchange_ms, loss, clock_spread } = *self;
        ensure!((1..=MOST_REPLICAS).contains(&max_replicas), "`cluster.max_replicas` must be from 1 to 64");
        ensure!((1..=max_replicas).contains(&replicas), "`cluster.replicas` must be from 1 to `cluster.max_replicas`");
        ensure!(
            (max_replicas..=10_000).contains(&connections),
            "`cluster.connections` must be from `cluster.max_replicas` to 10,000"
        );
        ensure!((0.0..=60_000.0).contains(&exchange_ms), "`cluster.exchange_ms` must be from 0 to 60,000");
        ensure!((0.0..=1.0).contains(&loss), "`cluster.loss` must be from 0 to 1");
        ensure!((0.0..=0.2).contains(&clock_spread), "`cluster.clock_spread` must be from 0 to 0.2");
        Ok(())
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self { replicas: 4, connections: 84, max_replicas: 8, exchange_ms: 10.0, loss: 0.0, clock_spread: 0.02 }
    }
}
