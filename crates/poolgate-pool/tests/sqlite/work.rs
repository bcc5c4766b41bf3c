//! What an observer learns about statements.

use std::sync::{Arc, Mutex};

use poolgate_pool::{Observer, Pool, PoolConfig, Work, WriteTrouble, sqlite_options};
use sqlx::{Connection, Executor, Sqlite, SqliteConnection};

use super::{MS, Result};

#[derive(Default)]
struct Seen(Mutex<Vec<Work>>);

impl Observer for Seen {
    fn worked(&self, work: Work) {
        self.0.lock().unwrap().push(work);
    }
}

#[tokio::test]
async fn reads_writes_and_what_kept_a_write_from_happening_are_told() -> Result {
    let folder = tempfile::tempdir()?;
    let file = sqlite_options(folder.path().join("work.db")).busy_timeout(20 * MS);
    let mut other = SqliteConnection::connect_with(&file).await?;
    other.execute("CREATE TABLE t (x INTEGER UNIQUE)").await?;

    let seen = Arc::new(Seen::default());
    let pool = Pool::<Sqlite>::builder(file)
        .config(PoolConfig { size: 1, max_overflow: 0, ..PoolConfig::default() })
        .observer(Arc::clone(&seen) as Arc<dyn Observer>)
        .build()?;
    let newest = || seen.0.lock().unwrap().last().copied();
    let met = async |statements: &[&'static str]| {
        let mut lease = pool.acquire().await?;
        for statement in statements {
            let _ = lease.execute(*statement).await;
        }
        drop(lease);
        Ok::<_, poolgate_pool::AcquireError>(newest().map(|work| (work.answered, work.write)))
    };
    assert_eq!(met(&[]).await?, Some((false, None)));
    assert_eq!(met(&["SELECT * FROM t"]).await?, Some((true, None)));
    assert_eq!(met(&["INSERT INTO t VALUES (1)"]).await?, Some((true, Some(Ok(())))));
    assert_eq!(met(&["INSERT INTO t VALUES (1)"]).await?, Some((false, None)), "a duplicate is the app's own affair");

    other.execute("BEGIN IMMEDIATE").await?;
    let blocked = Some(Err(WriteTrouble::Blocked));
    assert_eq!(met(&["SELECT * FROM t", "INSERT INTO t VALUES (2)"]).await?, Some((true, blocked)));
    let mut lease = pool.acquire().await?;
    assert!(lease.begin_with("BEGIN IMMEDIATE").await.is_err());
    drop(lease);
    assert_eq!(newest().map(|work| work.write), Some(blocked));
    other.execute("ROLLBACK").await?;
    assert_eq!(met(&["INSERT INTO t VALUES (2)"]).await?, Some((true, Some(Ok(())))));

    let fill =
        "WITH RECURSIVE n(x) AS (SELECT 100 UNION ALL SELECT x + 1 FROM n LIMIT 9000) INSERT INTO t SELECT x FROM n";
    let full = met(&["PRAGMA max_page_count = 4", fill]).await?;
    assert_eq!(full.and_then(|(_, write)| write), Some(Err(WriteTrouble::StorageFull)));
    assert_eq!(
        met(&["PRAGMA query_only = 1", "DELETE FROM t"]).await?.and_then(|(_, write)| write),
        Some(Err(WriteTrouble::ReadOnly))
    );
    Ok(())
}
