//! `cluster.store`: the pool shares the database with those of other replicas, and all serve one config.

#[cfg(not(feature = "cluster"))]
pub(super) use self::without::join;

#[cfg(feature = "cluster")]
pub(super) use self::with::join;

#[cfg(feature = "cluster")]
mod with {
    use std::time::Duration;

    use anyhow::Context;
    use poolgate_cluster::{Membership, NatsStore, NoShare, PoolShare, PostgresStore, Store};
    use poolgate_control::cluster::{self, Replica, ReplicaId};
    use poolgate_pool::Pool;
    use poolgate_server::{Builder, Settings, settings::ClusterStore};
    use sqlx::{Any, postgres::PgConnectOptions};
    use tokio_util::sync::CancellationToken;

    use crate::cli::instance::Instance;

    /// Time after which a silent replica is out.
    const TTL: Duration = Duration::from_secs(10);
    /// The same for a store in NATS, whose servers take up to ten seconds to elect a leader: grants outlive that.
    const TTL_OVER_ELECTIONS: Duration = Duration::from_secs(20);

    /// The part of this process in its cluster.
    #[derive(Debug)]
    pub(in crate::cli) struct Cluster(Membership);

    /// Takes part from now on, if the settings say so: the pool gets its share. Without a pool the replicas share what they
    /// know of the clients of the source that they watch.
    pub(in crate::cli) fn join(
        settings: &Settings,
        instance: Instance,
        pool: Option<&Pool<Any>>,
    ) -> anyhow::Result<Option<Cluster>> {
        let store = &settings.cluster.store;
        let id = ReplicaId(instance.0);
        let ttl = if matches!(store, ClusterStore::Nats(_)) { TTL_OVER_ELECTIONS } else { TTL };
        let max_replicas = settings.cluster.max_replicas;
        let budget = if pool.is_some() { settings.cluster.pooled_connections() } else { max_replicas };
        let rules = cluster::Settings { budget, max_replicas, ttl };
        let name = &settings.database.application_name;
        let membership = match store {
            ClusterStore::None => return Ok(None),
            ClusterStore::Postgres => {
                let store = PostgresStore::new(database(settings)?, name, id);
                start(if pool.is_some() { store } else { store.without_pools() }, settings, pool, (id, rules))
            }
            ClusterStore::Nats(servers) => {
                let database = pool.map(|_| database(settings)).transpose()?;
                let store = NatsStore::new(servers.expose(), database, name, id).context("cluster.store")?;
                start(store, settings, pool, (id, rules))
            }
        };
        Ok(Some(Cluster(membership)))
    }

    fn start(
        store: impl Store,
        settings: &Settings,
        pool: Option<&Pool<Any>>,
        (id, rules): (ReplicaId, cluster::Settings),
    ) -> Membership {
        match pool {
            Some(pool) => {
                let (budget, safe_share) = (rules.budget, rules.safe_share());
                tracing::info!(replica = %id, budget, safe_share, "Poolgate shares the database with other replicas");
                let share = PoolShare::new(pool.clone(), settings.pool.size, settings.pool.max_overflow);
                Membership::start(store, share, |now| Replica::new(id, rules, now))
            }
            None => {
                tracing::info!(replica = %id, "Poolgate serves one config with the others that watch this source");
                Membership::start(store, NoShare, |now| Replica::new(id, rules, now).watching())
            }
        }
    }

    fn database(settings: &Settings) -> anyhow::Result<PgConnectOptions> {
        let url = settings.database.url.as_ref().context("database.url is not set")?;
        url.expose().parse().context("database.url")
    }

    impl Cluster {
        /// Lets a server serve one config with the others.
        pub(in crate::cli) fn join(&self, builder: Builder) -> Builder {
            builder.peers(self.0.clone())
        }

        /// Announces the shutdown when it begins.
        pub(in crate::cli) fn drain_with(&self, closing: CancellationToken) {
            let membership = self.0.clone();
            tokio::spawn(async move {
                closing.cancelled_owned().await;
                membership.drain();
            });
        }

        /// Gives the share back.
        pub(in crate::cli) async fn leave(self) {
            self.0.leave().await;
        }
    }
}

#[cfg(not(feature = "cluster"))]
mod without {
    use poolgate_pool::Pool;
    use poolgate_server::{Builder, Settings};
    use sqlx::Any;
    use tokio_util::sync::CancellationToken;

    use crate::cli::instance::Instance;

    /// There is none.
    #[derive(Debug)]
    pub(in crate::cli) enum Cluster {}

    pub(in crate::cli) fn join(
        settings: &Settings,
        _: Instance,
        _: Option<&Pool<Any>>,
    ) -> anyhow::Result<Option<Cluster>> {
        anyhow::ensure!(
            !settings.cluster.is_on(),
            "cluster.store: this program was built without the feature `cluster`"
        );
        Ok(None)
    }

    impl Cluster {
        pub(in crate::cli) fn join(&self, _: Builder) -> Builder {
            match *self {}
        }

        pub(in crate::cli) fn drain_with(&self, _: CancellationToken) {
            match *self {}
        }

        pub(in crate::cli) async fn leave(self) {
            match self {}
        }
    }
}
