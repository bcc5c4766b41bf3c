//! No change of a session reaches its next user.

use poolgate_pool::Reset;

use super::*;

/// The state of a session in one row: `-` for unchanged.
const CARRIED: &str = "SELECT concat_ws(' ',
    coalesce(nullif(current_setting('app.tenant', true), ''), '-'),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
    current_user, session_user, current_setting('search_path'), current_setting('work_mem'),
    current_setting('default_transaction_isolation'),
    (SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND pg_table_is_visible(oid)),
    (SELECT count(*) FROM pg_listening_channels()),
    (SELECT count(*) FROM pg_cursors WHERE is_holdable),
    (SELECT count(*) FROM pg_prepared_statements WHERE from_sql))";

const NOTHING: &str = "- 0 postgres postgres \"$user\", public 4MB read committed 0 0 0 0";

/// Every kind of change that the text of a statement shows.
const LEFT_BEHIND: [&str; 24] = [
    "SET app.tenant = '42'",
    "set session app.tenant to '42'",
    "SELECT set_config('app.tenant', '42', false)",
    "SELECT pg_catalog.\"set_config\"('app.tenant', '42', false)",
    "/* SELECT */ SELECT 1; -- harmless\n SET app.tenant = '42'",
    "WITH x AS (SELECT set_config('app.tenant', '42', false)) SELECT * FROM x",
    "BEGIN; SET app.tenant = '42'; COMMIT",
    "DO $$ BEGIN PERFORM set_config('app.tenant', '42', false); END $$",
    "CALL become_tenant()",
    "SELECT tenant_of_the_day()",
    "SELECT public.tenant_of_the_day()",
    "UPDATE pg_settings SET setting = '8MB' WHERE name = 'work_mem'",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock(1), pg_advisory_lock_shared(2, 3)",
    "SET ROLE other",
    "SET SESSION AUTHORIZATION other",
    "SET search_path = pg_catalog",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "CREATE TEMP TABLE carried (a int)",
    "CREATE TABLE pg_temp.carried (a int)",
    "SELECT 1 AS a INTO TEMPORARY carried",
    "LISTEN carried",
    "DECLARE carried CURSOR WITH HOLD FOR SELECT 1",
    "PREPARE carried AS SELECT 1",
];

async fn carried(pool: &Pool<Postgres>) -> Result<String> {
    let mut lease = pool.acquire().await?;
    Ok(sqlx::query_scalar(CARRIED).fetch_one(&mut lease).await?)
}

fn prepared_database() -> &'static str {
    static URL: LazyLock<String> = LazyLock::new(|| {
        let url = SERVER.create_database("clean").expect("a database");
        SERVER
            .sql(
                "clean",
                "CREATE ROLE other;
                 CREATE FUNCTION tenant_of_the_day() RETURNS text LANGUAGE sql AS
                     $$ SELECT set_config('app.tenant', '42', false) $$;
                 CREATE PROCEDURE become_tenant() LANGUAGE sql AS $$ SELECT set_config('app.tenant', '42', false) $$;
                 CREATE TABLE orders (x int)",
            )
            .expect("tables");
        url
    });
    &URL
}

fn clean_pool(config: PoolConfig) -> Result<Pool<Postgres>> {
    Ok(Pool::builder(prepared_database().parse()?).config(config).build()?)
}

#[tokio::test]
async fn nothing_that_a_statement_leaves_behind_reaches_the_next_holder() -> Result {
    let pool = clean_pool(config(1, 0))?;
    let pid = async || -> Result<i32> {
        Ok(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut pool.acquire().await?).await?)
    };
    let first = pid().await?;
    assert_eq!(carried(&pool).await?, NOTHING);
    for sql in LEFT_BEHIND {
        sqlx::raw_sql(sql).execute(&mut pool.acquire().await?).await?;
        assert_eq!(carried(&pool).await?, NOTHING, "after {sql}");
    }
    assert_eq!(pid().await?, first, "all on one connection");
    whole(&pool).await
}

#[tokio::test]
async fn nothing_that_was_done_unseen_reaches_the_next_holder() -> Result {
    let pool = clean_pool(config(1, 0))?;
    let mut lease = pool.acquire().await?;
    (*lease).execute("SET app.tenant = '42'").await?;
    drop(lease);
    assert_eq!(carried(&pool).await?, NOTHING, "on the sqlx connection");

    let mut lease = pool.acquire().await?;
    let mut transaction = lease.begin().await?;
    (*transaction).execute("SET app.tenant = '42'").await?;
    transaction.commit().await?;
    drop(lease);
    assert_eq!(carried(&pool).await?, NOTHING, "on the sqlx connection of a transaction");

    let mut lease = pool.acquire().await?;
    let mut transaction = lease.begin().await?;
    sqlx::query("SET app.tenant = '42'").execute(&mut **transaction.as_sqlx()).await?;
    transaction.commit().await?;
    drop(lease);
    assert_eq!(carried(&pool).await?, NOTHING, "on the transaction of sqlx");

    let mut lease = pool.acquire().await?;
    let slowly = lease.execute("SELECT pg_advisory_lock(7), pg_sleep(0.3)");
    assert!(timeout(20 * MS, slowly).await.is_err());
    drop(lease);
    assert_eq!(carried(&pool).await?, NOTHING, "by a query cut short");

    let mut lease = pool.acquire().await?;
    lease.begin_with("BEGIN; SET SESSION app.tenant = '42'").await?.commit().await?;
    drop(lease);
    assert_eq!(carried(&pool).await?, NOTHING, "by a statement that began a transaction");
    whole(&pool).await
}

/// A reset restores the start of the session, and the hook restores the app's settings.
#[tokio::test]
async fn what_the_pool_itself_has_set_survives_a_reset() -> Result {
    let options: PgConnectOptions = prepared_database().parse()?;
    let session = PostgresSession { lock_timeout: Some(7000 * MS), ..PostgresSession::default() };
    let pool = Pool::<Postgres>::builder(options.options([("work_mem", "5MB")]))
        .postgres(session)
        .after_connect(|connection| {
            Box::pin(async move { connection.execute("SET app.tenant = 'everybody'").await.map(drop) })
        })
        .config(config(1, 0))
        .build()?;
    let ask = "SELECT concat_ws(' ', current_setting('app.tenant'), current_setting('work_mem'),
               current_setting('lock_timeout'), current_setting('TimeZone'))";
    let shown = async || -> Result<String> { Ok(sqlx::query_scalar(ask).fetch_one(&mut pool.acquire().await?).await?) };
    assert_eq!(shown().await?, "everybody 5MB 7s UTC");
    for sql in [
        "SET app.tenant = '42'",
        "SET work_mem = '9MB'; SET lock_timeout = 0",
        "SET TIME ZONE 'Asia/Tokyo'",
        "RESET ALL",
    ] {
        pool.acquire().await?.execute(sql).await?;
        assert_eq!(shown().await?, "everybody 5MB 7s UTC", "after {sql}");
    }
    whole(&pool).await
}

/// sqlx keeps using its prepared statements, so a reset must not discard them.
#[tokio::test]
async fn what_sqlx_has_prepared_survives_a_reset_and_what_the_app_has_prepared_does_not() -> Result {
    let pool = clean_pool(config(1, 0))?;
    let query = "SELECT $1 + 1";
    let ask =
        async || -> Result<i32> { Ok(sqlx::query_scalar(query).bind(1).fetch_one(&mut pool.acquire().await?).await?) };
    assert_eq!(ask().await?, 2);
    pool.acquire().await?.execute("SET app.tenant = '42'").await?;
    let lease = pool.acquire().await?;
    assert_eq!(lease.cached_statements_size(), 1);
    drop(lease);
    assert_eq!(ask().await?, 2);
    pool.acquire().await?.execute("PREPARE mine AS SELECT 1").await?;
    assert_eq!(ask().await?, 2);
    let mut lease = pool.acquire().await?;
    assert!(lease.execute("EXECUTE mine").await.is_err(), "it is gone");
    drop(lease);
    assert_eq!(ask().await?, 2);
    whole(&pool).await
}

#[tokio::test]
async fn a_reset_each_time_finds_what_no_text_shows() -> Result {
    prepared_database();
    SERVER.sql(
        "clean",
        "CREATE TABLE watched (x int);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM set_config('app.tenant', '42', false); RETURN NEW; END $$;
         CREATE TRIGGER note BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION note()",
    )?;
    for (reset, seen) in [
        (Reset::Always, NOTHING),
        (Reset::Never, "42 0 postgres postgres \"$user\", public 4MB read committed 0 0 0 0"),
    ] {
        let pool = clean_pool(PoolConfig { reset, ..config(1, 0) })?;
        pool.acquire().await?.execute("INSERT INTO watched VALUES (1)").await?;
        assert_eq!(carried(&pool).await?, seen, "{reset:?}");
        // A transaction is rolled back in any case.
        pool.acquire().await?.execute("BEGIN").await?;
        assert!(is_fresh(&mut pool.acquire().await?).await?);
        whole(&pool).await?;
    }
    Ok(())
}

#[tokio::test]
async fn plain_work_needs_no_reset() -> Result {
    let pool = clean_pool(config(1, 0))?;
    let mut lease = pool.acquire().await?;
    sqlx::query("INSERT INTO orders (x) VALUES ($1)").bind(1).execute(&mut lease).await?;
    let mut transaction = lease.begin().await?;
    transaction.execute("SET LOCAL work_mem = '8MB'").await?;
    sqlx::query("SELECT set_config('app.tenant', $1, true)").bind("42").fetch_one(&mut transaction).await?;
    sqlx::query("SELECT count(*), max(x) FROM orders WHERE x = ANY($1)")
        .bind(vec![1])
        .fetch_one(&mut transaction)
        .await?;
    transaction.commit().await?;
    drop(lease);
    assert_eq!((pool.counts().closing, pool.counts().idle), (0, 1), "idle at once");
    assert_eq!(carried(&pool).await?, NOTHING);
    whole(&pool).await
}

#[tokio::test]
async fn what_no_reset_takes_away_ends_with_the_session() -> Result {
    let pool = clean_pool(config(1, 0))?;
    let pid = async || -> Result<i32> {
        Ok(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut pool.acquire().await?).await?)
    };
    let first = pid().await?;
    pool.acquire().await?.execute("SELECT setseed(0.5)").await?;
    assert_ne!(pid().await?, first);
    whole(&pool).await
}

#[tokio::test]
async fn any_is_reset_too() -> Result {
    sqlx::any::install_default_drivers();
    let options = poolgate_pool::any_options(prepared_database())?;
    let pool = Pool::<Any>::builder(options).config(config(1, 0)).build()?;
    for sql in LEFT_BEHIND {
        sqlx::raw_sql(sql).execute(&mut pool.acquire().await?).await?;
        let carried: String = sqlx::query_scalar(CARRIED).fetch_one(&mut pool.acquire().await?).await?;
        assert_eq!(carried, NOTHING, "after {sql}");
    }
    Ok(())
}
