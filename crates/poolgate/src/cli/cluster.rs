//! `cluster.store`: the pool shares the database with those of other replicas.

#[cfg(not(feature = "cluster"))]
pub(super) use self::without::join;

#[cfg(feature = "cluster")]
pub(super) use self::with::join;

#[cfg(feature = "cluster")]
mod with {
    use std::time::Duration;

    use anyhow::Context;
    use poolgate_cluster::{Membership, NatsStore, PoolShare, PostgresStore};
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

    /// Takes part from now on, if the settings say so: the pool gets its share.
    pub(in crate::cli) fn join(
        settings: &Settings,
        instance: Instance,
        pool: &Pool<Any>,
    ) -> anyhow::Result<Option<Cluster>> {
        let store = &settings.cluster.store;
        if *store == ClusterStore::None {
            return Ok(None);
        }
        let url = settings.database.url.as_ref().context("database.url is not set")?;
        let options: PgConnectOptions = url.expose().parse().context("database.url")?;
        let id = ReplicaId(instance.0);
        let name = &settings.database.application_name;
        let share = PoolShare::new(pool.clone(), settings.pool.size, settings.pool.max_overflow);
        let ttl = if matches!(store, ClusterStore::Nats(_)) { TTL_OVER_ELECTIONS } else { TTL };
        let rules = cluster::Settings {
            budget: settings.cluster.pooled_connections(),
            max_replicas: settings.cluster.max_replicas,
            ttl,
        };
        tracing::info!(
            replica = %id,
            budget = rules.budget,
            safe_share = rules.safe_share(),
            "Poolgate shares the database with other replicas"
        );
        let make = |now| Replica::new(id, rules, now);
        let membership = match store {
            ClusterStore::None => return Ok(None),
            ClusterStore::Postgres => Membership::start(PostgresStore::new(options, name, id), share, make),
            ClusterStore::Nats(servers) => {
                let store = NatsStore::new(servers.expose(), options, name, id).context("cluster.store")?;
                Membership::start(store, share, make)
            }
        };
        Ok(Some(Cluster(membership)))
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

    pub(in crate::cli) fn join(settings: &Settings, _: Instance, _: &Pool<Any>) -> anyhow::Result<Option<Cluster>> {
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
