//! What breaks.

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::Cluster;

/// A fault: when it begins and how long it lasts.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Begins at this second.
    pub at: f64,
    /// Its length in seconds.
    pub seconds: f64,
    /// Its kind.
    pub kind: FaultKind,
    /// For `slow`, the factor by which service times grow; for `shrink`, the factor by which the pool shrinks. Default 4.
    #[serde(default = "default_factor")]
    pub factor: f64,
    /// For `partition`, `pause` and `kill`, the number of replicas that it hits: first the one that publishes the config,
    /// then those with the lowest numbers. For `deploy` and `join`, the number of newcomers. Default 1.
    #[serde(default = "default_replicas")]
    pub replicas: u32,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The database works slower.
    Slow,
    /// The database does not answer.
    Outage,
    /// The server stops, then starts without its state. Not in a cluster.
    Restart,
    /// No event stream works.
    StreamCut,
    /// The pool closes every connection, those in use when they come back. It happens at once and has no length.
    Dispose,
    /// The pool is smaller. Not in a cluster.
    Shrink,
    /// Cluster: newcomers start, spread over the first half of the time, and as many old replicas finish their work and
    /// leave, spread over the second half.
    Deploy,
    /// Cluster: some replicas cannot use the store, which refuses them. They still reach the database.
    Partition,
    /// Cluster: the store loses what it had, and refuses every replica for the time.
    StoreLost,
    /// Cluster: some replicas are stopped, then go on.
    Pause,
    /// Cluster: some replicas end without a word. It happens at once and has no length.
    Kill,
    /// Cluster: newcomers start to which the balancer sends nothing. It happens at once and has no length.
    Join,
}

impl Fault {
    /// A fault with the default factor, which hits one replica.
    pub const fn new(kind: FaultKind, at: f64, seconds: f64) -> Self {
        Self { at, seconds, kind, factor: default_factor(), replicas: default_replicas() }
    }

    /// Checks every range.
    pub(super) fn check(&self, cluster: Option<&Cluster>) -> Result<()> {
        use FaultKind::{Deploy, Join, Kill, Partition, Pause, Restart, Shrink, StoreLost};
        ensure!(self.at >= 0.0 && self.seconds > 0.0, "a fault's `at` and `seconds` must be positive");
        ensure!(self.factor >= 1.0, "a fault's `factor` must be at least 1");
        let needs_cluster = matches!(self.kind, Deploy | Partition | StoreLost | Pause | Kill | Join);
        ensure!(!needs_cluster || cluster.is_some(), "a fault of this kind needs `[cluster]`: {:?}", self.kind);
        let needs_one_server = matches!(self.kind, Restart | Shrink);
        ensure!(!needs_one_server || cluster.is_none(), "a fault of this kind cannot be in a cluster: {:?}", self.kind);
        let Some(cluster) = cluster else { return Ok(()) };
        ensure!(
            (1..=cluster.max_replicas).contains(&self.replicas),
            "a fault's `replicas` must be from 1 to `max_replicas`"
        );
        let is_full = cluster.replicas + self.replicas > cluster.max_replicas;
        ensure!(
            !(matches!(self.kind, Deploy | Join) && is_full),
            "with its newcomers the cluster has more replicas than `max_replicas`"
        );
        Ok(())
    }
}

const fn default_factor() -> f64 {
    4.0
}

const fn default_replicas() -> u32 {
    1
}
