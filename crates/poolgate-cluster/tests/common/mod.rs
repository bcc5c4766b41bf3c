//! What the tests of all stores share: a member of a cluster, and waiting.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use poolgate_cluster::{Membership, Share, Store};
use poolgate_control::cluster::{Exchange, Ledger, Replica, ReplicaId, Seen, Settings, State};
use poolgate_types::{ConfigVersion, ThrottlingConfig};

/// Longer than anything that is waited for takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Short, so that the tests are. Five exchanges.
pub(crate) const SETTINGS: Settings = Settings { budget: 40, max_replicas: 4, ttl: Duration::from_secs(5) };

/// A pool that opens what it may at once.
#[derive(Clone, Default)]
pub(crate) struct Greedy(Arc<AtomicU32>);

impl Greedy {
    /// Says that it has this many, until it is told its share again.
    pub(crate) fn hold(&self, connections: u32) {
        self.0.store(connections, Relaxed);
    }
}

impl Share for Greedy {
    fn allow(&self, connections: u32) -> u32 {
        self.hold(connections);
        connections
    }

    fn wants(&self) -> u32 {
        100
    }
}

/// A replica of which only the membership is there.
pub(crate) struct Member {
    pub(crate) membership: Membership,
    pub(crate) share: Greedy,
}

impl Member {
    pub(crate) fn start(store: impl Store, id: u32, settings: Settings) -> Self {
        let (id, share) = (ReplicaId(id), Greedy::default());
        let membership = Membership::start(store, share.clone(), |now| Replica::new(id, settings, now));
        Self { membership, share }
    }

    /// Connections that it may have.
    pub(crate) fn has(&self) -> u32 {
        self.share.0.load(Relaxed)
    }
}

/// Waits until `condition` holds. Returns the time that it took.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "not {what} within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

fn config(version: u64) -> ThrottlingConfig {
    ThrottlingConfig::normal(ConfigVersion { epoch: 7, version })
}

/// The next exchange of this replica, with a ledger.
pub(crate) fn with_ledger(replica: &mut Replica, revision: u64, is_first: bool) -> Exchange {
    let ledger = Some(Ledger { revision, ..Default::default() });
    Exchange { ledger, is_first, ..replica.begin(Duration::ZERO) }
}

/// What every store must do with rows and configs. This replica and this store are new.
pub(crate) async fn rows_and_configs_only_become_newer(
    store: &mut impl Store,
    replica: &mut Replica,
) -> anyhow::Result<()> {
    replica.connections(State::Serving, 3, 9);
    let mut old = replica.begin(Duration::ZERO);
    let mut new = replica.begin(Duration::ZERO);
    (old.config, new.config) = (Some(config(4)), Some(config(5)));
    assert_eq!(store.exchange(&new).await?.config, Some(config(5)), "a config that was written is read back");
    store.exchange(&old).await?;
    let seen = store.exchange(&old).await?;
    assert_eq!((seen.config, seen.rows), (Some(config(5)), vec![new.row]), "what is older is not written");
    let census = store.census().await?;
    assert_eq!(census.get(&replica.id()), Some(&1), "its own connection: {census:?}");

    let later = ThrottlingConfig::normal(ConfigVersion { epoch: 8, version: 1 });
    let rival = Exchange { config: Some(later), ..replica.begin(Duration::ZERO) };
    assert_eq!(rival.replaces, None, "it has read no config");
    assert_eq!(store.exchange(&rival).await?.config, Some(config(5)), "it would begin a second epoch");
    let next = Exchange { config: Some(config(6)), replaces: Some(config(5).at()), ..replica.begin(Duration::ZERO) };
    assert_eq!(store.exchange(&next).await?.config, Some(config(6)));
    Ok(())
}

pub(crate) fn revision(seen: &Seen) -> Option<u64> {
    seen.ledger.as_ref().map(|ledger| ledger.revision)
}
