//! One face for all pools.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use poolgate_pool::{Backend, Pool, PoolConfig};
use sqlx::{ConnectOptions, Connection, Database};

/// What a connection is opened with.
pub(crate) type OptionsOf<DB> = <<DB as Database>::Connection as Connection>::Options;

/// How long a caller may wait in the measurements without expected timeouts.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A pool that is measured; a clone is another handle to it.
pub(crate) trait Contender: Clone + Send + Sync + 'static {
    /// Takes a connection, holds it for so long, and gives it back.
    fn turn(&self, hold: Duration) -> impl Future<Output = Result<()>> + Send;
}

/// Who they are, and what each tests when it hands an idle connection out.
pub(crate) const NAMES: [&str; 6] = [
    "poolgate (pings after 1 s of idleness)",
    "sqlx::Pool (pings on acquire and on release)",
    "sqlx::Pool tuned (pings on release)",
    "deadpool (tests nothing)",
    "bb8 (pings on acquire)",
    "bb8 tuned (tests nothing)",
];

/// All of them with `size` connections.
pub(crate) struct Contenders<DB: Database> {
    pub(crate) poolgate: Pool<DB>,
    pub(crate) sqlx: sqlx::Pool<DB>,
    pub(crate) sqlx_tuned: sqlx::Pool<DB>,
    pub(crate) deadpool: deadpool::managed::Pool<Manager<DB>>,
    pub(crate) bb8: bb8::Pool<Manager<DB>>,
    pub(crate) bb8_tuned: bb8::Pool<Manager<DB>>,
}

impl<DB: Backend> Contenders<DB> {
    pub(crate) async fn new(options: &OptionsOf<DB>, size: u32) -> Result<Self> {
        let limits = PoolConfig { size, max_overflow: 0, acquire_timeout: TIMEOUT, ..PoolConfig::default() };
        let of_sqlx = || sqlx::pool::PoolOptions::<DB>::new().max_connections(size).acquire_timeout(TIMEOUT);
        let of_bb8 = || bb8::Pool::builder().max_size(size).connection_timeout(TIMEOUT);
        let manager = || Manager { options: options.clone() };
        Ok(Self {
            poolgate: Pool::builder(options.clone()).config(limits).build()?,
            sqlx: of_sqlx().connect_lazy_with(options.clone()),
            sqlx_tuned: of_sqlx().test_before_acquire(false).connect_lazy_with(options.clone()),
            deadpool: deadpool::managed::Pool::builder(manager()).max_size(size as usize).build()?,
            bb8: of_bb8().build(manager()).await.map_err(|error| anyhow!(error))?,
            bb8_tuned: of_bb8().test_on_check_out(false).build(manager()).await.map_err(|error| anyhow!(error))?,
        })
    }
}

async fn held(hold: Duration) {
    if !hold.is_zero() {
        tokio::time::sleep(hold).await;
    }
}

impl<DB: Database> Contender for Pool<DB> {
    async fn turn(&self, hold: Duration) -> Result<()> {
        let _lease = self.acquire().await?;
        held(hold).await;
        Ok(())
    }
}

impl<DB: Database> Contender for sqlx::Pool<DB> {
    async fn turn(&self, hold: Duration) -> Result<()> {
        let _connection = self.acquire().await?;
        held(hold).await;
        Ok(())
    }
}

impl<DB: Database> Contender for deadpool::managed::Pool<Manager<DB>> {
    async fn turn(&self, hold: Duration) -> Result<()> {
        let _connection = self.get().await.map_err(|error| anyhow!("{error}"))?;
        held(hold).await;
        Ok(())
    }
}

impl<DB: Database> Contender for bb8::Pool<Manager<DB>> {
    async fn turn(&self, hold: Duration) -> Result<()> {
        let _connection = self.get().await.map_err(|error| anyhow!("{error}"))?;
        held(hold).await;
        Ok(())
    }
}

/// Opens connections for the pools that bring no way to do so.
pub(crate) struct Manager<DB: Database> {
    options: OptionsOf<DB>,
}

impl<DB: Database> deadpool::managed::Manager for Manager<DB> {
    type Type = DB::Connection;
    type Error = sqlx::Error;

    async fn create(&self) -> sqlx::Result<DB::Connection> {
        self.options.connect().await
    }

    async fn recycle(
        &self,
        _: &mut DB::Connection,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<sqlx::Error> {
        Ok(())
    }
}

impl<DB: Database> bb8::ManageConnection for Manager<DB> {
    type Connection = DB::Connection;
    type Error = sqlx::Error;

    async fn connect(&self) -> sqlx::Result<DB::Connection> {
        self.options.connect().await
    }

    async fn is_valid(&self, connection: &mut DB::Connection) -> sqlx::Result<()> {
        connection.ping().await
    }

    fn has_broken(&self, _: &mut DB::Connection) -> bool {
        false
    }
}
