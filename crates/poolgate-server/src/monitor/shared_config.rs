//! The config of all servers in front of one database, if there are several.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use poolgate_control::{
    Decision, Reachability,
    cluster::{Own, Peers, Said, Totals},
};
use poolgate_types::{Alert, AlertKind, ClusterStatus, ConfigVersion, MemberState, Severity, ThrottlingConfig};

use super::{report::Reporter, sampler::Reading};
use crate::{clients::Registry, readiness::StartUpWork};

/// A replica that decides alone for this long is worth an alert. The first replicas of a cluster need twelve seconds until
/// they have agreed.
const STATIC_FOR: Duration = Duration::from_secs(20);
/// A replica that was heard within this time is there: it writes its row every second.
const HEARD_LATELY: Duration = Duration::from_secs(5);

/// Replaces the config of a decision by the one that all serve.
#[derive(Debug)]
pub(super) struct SharedConfig {
    peers: Arc<dyn Peers>,
    clients: Registry,
    said: ThrottlingConfig,
    /// It is not this server's own.
    is_shared: bool,
    /// Ends when the config of the others is known: until then other servers take the traffic.
    listening: Option<StartUpWork>,
    /// Since when it decides alone.
    static_since: Option<(Instant, Timestamp)>,
}

impl SharedConfig {
    pub(super) fn new(peers: Arc<dyn Peers>, clients: Registry, listening: StartUpWork) -> Self {
        Self { peers, clients, said: unknown(), is_shared: false, listening: Some(listening), static_since: None }
    }

    /// The other servers.
    pub(super) fn peers(&self) -> &dyn Peers {
        &*self.peers
    }

    /// The config that clients have been told, if it is not this server's own.
    pub(super) fn heard(&self) -> Option<&ThrottlingConfig> {
        self.is_shared.then_some(&self.said)
    }

    /// What operators see of the other servers.
    pub(super) fn status(&mut self) -> Cluster {
        let status = self.peers.status();
        Reporter::cluster(&status);
        if status.is_static || status.store_trouble.is_some() {
            self.static_since.get_or_insert((Instant::now(), Timestamp::now()));
        } else {
            self.static_since = None;
        }
        let lasting = self.static_since.filter(|(since, _)| since.elapsed() >= STATIC_FOR);
        let alert = lasting.map(|(_, since)| Alert {
            kind: AlertKind::ClusterStatic,
            severity: Severity::Warning,
            message: match &status.store_trouble {
                Some(trouble) => format!("{trouble}; this replica decides alone"),
                None => {
                    "The cluster has no place for this replica: there are more than cluster.max_replicas".to_owned()
                }
            },
            since: since.to_string(),
        });
        Cluster { status, alert }
    }

    /// The decision with the config that all serve. It has no version while that is not known.
    pub(super) fn settle(&mut self, decision: Decision, reading: &Reading) -> Decision {
        let mut sample = reading.sample.clone();
        sample.gate.permits = decision.proven_permits;
        let said = self.peers.tick(Own {
            totals: totals(reading),
            reaches_database: sample.reachability == Reachability::Answering,
            sample: &sample,
            audience: &|key| self.clients.audience(key),
        });
        self.is_shared = matches!(said, Said::Shared(_));
        let said = match said {
            Said::Nothing => unknown(),
            Said::Own => decision.config.clone(),
            Said::Shared(config) => config,
        };
        self.clients.learn_elsewhere(self.peers.elsewhere());
        if is_known(&said) {
            self.listening = None;
        }
        let before = std::mem::replace(&mut self.said, said.clone());
        decision.saying(said, before.throttling_level)
    }
}

/// What operators see of the other servers.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) status: ClusterStatus,
    pub(super) alert: Option<Alert>,
}

impl Cluster {
    /// Whether another replica reaches the database, with a closed circuit breaker. While the store cannot be used, which may
    /// be lost with the database, they are taken to.
    pub(super) fn others_serve(&self) -> bool {
        let are_unknown = self.status.store_trouble.is_some();
        are_unknown
            || self.status.members.iter().any(|member| {
                member.replica != self.status.replica
                    && member.state == MemberState::Serving
                    && member.reaches_database
                    && member.silent_seconds < HEARD_LATELY.as_secs_f64()
            })
    }
}

/// What a server says that has not heard the others yet: nothing.
pub(crate) fn unknown() -> ThrottlingConfig {
    ThrottlingConfig::normal(ConfigVersion::default())
}

/// Whether there is a config that clients can be told.
pub(crate) fn is_known(config: &ThrottlingConfig) -> bool {
    config.at() != ConfigVersion::default()
}

/// The counts that make up samples, since the start.
fn totals(reading: &Reading) -> Totals {
    let totals = &reading.totals;
    Totals {
        arrivals: totals.arrivals.saturating_sub(totals.no_demand),
        rejected: totals.rejected.saturating_sub(totals.no_demand_rejected),
        over_quota: totals.over_quota,
        completed: totals.completed,
    }
}
