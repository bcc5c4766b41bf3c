//! No change of a connection reaches its next user.

use poolgate_pool::{Reset, sqlite_defaults};
use sqlx::Any;

use super::*;

const CARRIED: &str = "SELECT concat_ws(' ', (SELECT recursive_triggers FROM pragma_recursive_triggers),
    (SELECT query_only FROM pragma_query_only), (SELECT foreign_keys FROM pragma_foreign_keys),
    (SELECT count(*) FROM pragma_database_list WHERE name = 'other'), (SELECT count(*) FROM sqlite_temp_master))";

const LEFT_BEHIND: [&str; 8] = [
    "PRAGMA recursive_triggers = ON",
    "PRAGMA query_only(1)",
    "PRAGMA main.foreign_keys = OFF",
    "ATTACH ':memory:' AS other",
    "CREATE TEMP TABLE carried (a INTEGER)",
    "CREATE TABLE temp.carried (a INTEGER)",
    "SELECT 1; PRAGMA recursive_triggers = 1",
    "BEGIN IMMEDIATE",
];

#[tokio::test]
async fn nothing_that_a_statement_leaves_behind_reaches_the_next_holder() -> Result {
    let database = Database::new()?;
    let pool = database.pool(1, 0)?;
    let carried =
        async || -> Result<String> { Ok(sqlx::query_scalar(CARRIED).fetch_one(&mut pool.acquire().await?).await?) };
    assert_eq!(carried().await?, "0 0 1 0 0");
    for sql in LEFT_BEHIND {
        sqlx::raw_sql(sql).execute(&mut pool.acquire().await?).await?;
        assert_eq!(carried().await?, "0 0 1 0 0", "after {sql}");
    }
    let mut unseen = pool.acquire().await?;
    (*unseen).execute("PRAGMA recursive_triggers = ON").await?;
    drop(unseen);
    assert_eq!(carried().await?, "0 0 1 0 0", "on the sqlx connection");
    whole(&pool).await
}

/// Replacements are not paced: callers that change a setting each time do not wait for the pace of connects.
#[tokio::test]
async fn replaced_connections_are_not_paced() -> Result {
    let database = Database::new()?;
    let pool = database.builder(PoolConfig { connect_rate: 1, ..config(1, 0) }).build()?;
    for _ in 0..20 {
        pool.acquire().await?.execute("PRAGMA recursive_triggers = ON").await?;
    }
    whole(&pool).await
}

#[tokio::test]
async fn never_keeps_what_was_set_and_always_replaces_each() -> Result {
    let database = Database::new()?;
    let setting = "PRAGMA recursive_triggers = ON";
    let ask = "SELECT recursive_triggers FROM pragma_recursive_triggers";
    let never = database.builder(PoolConfig { reset: Reset::Never, ..config(1, 0) }).build()?;
    never.acquire().await?.execute(setting).await?;
    assert_eq!(sqlx::query_scalar::<_, i64>(ask).fetch_one(&mut never.acquire().await?).await?, 1);

    let always = database.builder(PoolConfig { reset: Reset::Always, ..config(1, 0) }).build()?;
    let first = always.acquire().await?.id();
    drop(always.acquire().await?);
    let lease = always.acquire().await?;
    assert!(lease.id() > first);
    assert!(always.leases()[0].connection > 2, "not the first connection");
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_opened_for_reading_is_read_in_any_mode() -> Result {
    sqlx::any::install_default_drivers();
    for mode in ["delete", "wal"] {
        let database = Database::new()?;
        let path = database.folder.path().join("shop.db");
        let url = format!("sqlite:{}", path.display());
        let mut writer = sqlx::SqliteConnection::connect(&format!("{url}?mode=rwc")).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "PRAGMA journal_mode = {mode}; CREATE TABLE t (n); INSERT INTO t VALUES (7)"
        )))
        .execute(&mut writer)
        .await?;
        if mode == "delete" {
            writer.close().await?;
        }
        let options = poolgate_pool::any_options(&format!("{url}?mode=ro"))?;
        let pool = Pool::<Any>::builder(options).after_connect(sqlite_defaults).config(config(2, 0)).build()?;
        let mut lease = pool.acquire().await?;
        let read: i64 = sqlx::query_scalar("SELECT n FROM t").fetch_one(&mut lease).await?;
        assert_eq!(read, 7, "{mode}");
        let typed = Pool::<Sqlite>::builder(poolgate_pool::sqlite_read_options(&path)).build()?;
        let read: i64 = sqlx::query_scalar("SELECT n FROM t").fetch_one(&mut typed.acquire().await?).await?;
        assert_eq!(read, 7, "{mode}");
        let refused = lease.execute("INSERT INTO t VALUES (8)").await.expect_err("read only");
        assert!(refused.to_string().contains("readonly"), "{refused}");
    }
    Ok(())
}
