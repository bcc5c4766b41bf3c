//! The whole stack over HTTP: the real binary on real databases, with faults.

mod abuse;
mod closed_loop;
mod cold_start;
mod commands;
mod lifecycle;
mod outage;
mod settings;
mod shop;

use std::time::Duration;

use anyhow::{Result, ensure};
use poolgate_e2e::Server;
use poolgate_test_postgres::Postgres;
use poolgate_types::Backend;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Tests that measure run alone; the others run in parallel.
static MACHINE: RwLock<()> = RwLock::const_new(());

async fn share() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

async fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// Runs `test` on a demo server over SQLite, then on one over PostgreSQL.
async fn on_both(test: impl AsyncFn(&Server, Backend) -> Result<()>) -> Result<()> {
    let server = Server::builder().demo().start()?;
    server.ready().await?;
    test(&server, Backend::Sqlite).await?;
    drop(server);

    let postgres = Postgres::start()?;
    let server = Server::builder().demo().database(&postgres.create_database("shop")?).start()?;
    server.ready().await?;
    test(&server, Backend::Postgres).await
}

/// Fails unless in the end no request is in flight or queued and no connection is checked out.
async fn comes_to_rest(server: &Server) -> Result<()> {
    let at_rest = async |server: &Server| {
        server.status().await.is_ok_and(|status| {
            status.gate.is_some_and(|gate| (gate.in_flight, gate.waiting) == (0, 0))
                && (status.pool.checked_out, status.pool.waiting) == (0, Some(0))
                && status.fair_rate_per_second.is_none()
        })
    };
    let rest = server.wait_until(Duration::from_secs(15), at_rest).await;
    ensure!(rest, "not at rest: {:?}", server.status().await?);
    Ok(())
}
