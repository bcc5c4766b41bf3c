//! The pool alone, on a SQLite file: twenty tasks share three connections to raise a counter.
//!
//! `cargo run -p poolgate-pool --example counter`

use std::error::Error;
use std::time::Duration;

use poolgate_pool::{AcquireError, Pool, PoolConfig, Purpose, sqlite_options};
use sqlx::{Executor, Sqlite};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let pool = Pool::<Sqlite>::builder(sqlite_options(folder.path().join("counter.db")))
        .config(PoolConfig {
            size: 2,
            max_overflow: 1,
            acquire_timeout: Duration::from_secs(5),
            ..PoolConfig::default()
        })
        .build()?;
    let mut setup = pool.acquire().await?;
    setup.execute("CREATE TABLE counter AS SELECT 0 AS value").await?;
    drop(setup); // Back to the pool.

    let tasks = (1..=20).map(|number| tokio::spawn(increment(pool.clone(), number)));
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    let mut lease = pool.acquire().await?;
    let value: i64 = sqlx::query_scalar("SELECT value FROM counter").fetch_one(&mut lease).await?;
    assert_eq!(value, 20);
    println!("counted to {value} with {} connections", pool.counts().open());

    // A list of leases, or a timeout, names the code that holds a connection.
    let others = [pool.acquire().await?, pool.acquire().await?];
    for held in pool.leases() {
        println!("lease {} has been held for {:?} since {}", held.id, held.age, held.location);
    }
    match tokio::time::timeout(Duration::from_millis(100), pool.acquire()).await {
        Ok(_) => return Err("there are no more than three connections".into()),
        Err(_elapsed) => println!("the fourth waits; {} are in use", pool.counts().checked_out),
    }
    drop((lease, others));

    let drained = pool.drain(Duration::from_secs(5)).await;
    assert_eq!(drained.connections_left, 0);
    assert!(matches!(pool.acquire().await, Err(AcquireError::Closed)));
    Ok(())
}

async fn increment(pool: Pool<Sqlite>, number: u32) -> Result<(), Box<dyn Error + Send + Sync>> {
    let work = async {
        let mut lease = pool.acquire().await?;
        // Dropped without `commit`, it would be rolled back in the background.
        let mut transaction = lease.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("UPDATE counter SET value = value + 1").execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    };
    Purpose::new(format!("task {number}")).scope(work).await
}

#[test]
fn it_runs() {
    main().expect("no error");
}
