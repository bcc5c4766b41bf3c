//! Counts memory allocations, a figure without noise. In a program of its own, because it replaces the allocator.

use std::time::Duration;

use allocation_counter::measure;
use poolgate_pool::{Pool, PoolConfig, Purpose, sqlite_options};
use sqlx::Sqlite;
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const TURNS: u64 = 1000;

/// A pool with one used connection, on a runtime of this thread.
struct Hot {
    pool: Pool<Sqlite>,
    runtime: Runtime,
    _folder: TempDir,
}

impl Hot {
    fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        // No ping, even on a slow machine.
        let config =
            PoolConfig { size: 1, max_overflow: 0, pre_ping_idle: Duration::from_secs(3600), ..PoolConfig::default() };
        let pool = Pool::builder(sqlite_options(folder.path().join("test.db"))).config(config).build()?;
        let hot = Self { pool, runtime, _folder: folder };
        hot.runtime.block_on(hot.turn());
        Ok(hot)
    }

    async fn turn(&self) {
        drop(self.pool.acquire().await.expect("a connection"));
    }

    fn allocations(&self, work: impl AsyncFn()) -> u64 {
        let turns = async {
            for _ in 0..TURNS {
                work().await;
            }
        };
        measure(|| self.runtime.block_on(turns)).count_total
    }
}

#[test]
fn a_turn_on_a_hot_connection_allocates_nothing() -> Result {
    let hot = Hot::new()?;
    assert_eq!(hot.allocations(async || hot.turn().await), 0);
    Ok(())
}

#[test]
fn a_turn_with_a_purpose_allocates_nothing() -> Result {
    let hot = Hot::new()?;
    let purpose = Purpose::new("GET /orders/{id}").with_trace_id("4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(hot.allocations(async || purpose.clone().scope(hot.turn()).await), 0);
    Ok(())
}

/// One allocation, for the reply channel.
#[test]
fn a_caller_who_waits_costs_one_allocation() -> Result {
    let hot = Hot::new()?;
    let contested = async || {
        let held = hot.pool.acquire().await.expect("a connection");
        let give_back = async {
            assert_eq!(hot.pool.counts().waiting, 1);
            drop(held);
        };
        let (next, ()) = tokio::join!(hot.pool.acquire(), give_back);
        drop(next.expect("a connection"));
    };
    assert_eq!(hot.allocations(contested), TURNS);
    Ok(())
}
