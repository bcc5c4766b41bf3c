//! The condition of returned connections.

use poolgate_pool::Reset;
use poolgate_test_postgres::PgBouncer;

use super::*;

#[tokio::test]
async fn what_was_cut_short_or_left_open_is_never_handed_on() -> Result {
    let limits = PoolConfig { verify_timeout: 5000 * MS, ..config(1, 0) };
    let pool = pool(&SERVER, "dirty", limits)?;
    let first = on_server_pid(&pool).await?;

    let mut lease = pool.acquire().await?;
    assert!(timeout(20 * MS, lease.execute("SELECT pg_sleep(1.5)")).await.is_err());
    drop(lease);
    assert_eq!((pool.counts().closing, pool.counts().idle), (1, 0), "not idle while it sleeps");
    assert!(is_fresh(&mut pool.acquire().await?).await?, "a query cut short");

    let mut lease = pool.acquire().await?;
    lease.execute("BEGIN").await?;
    drop(lease);
    assert!(is_fresh(&mut pool.acquire().await?).await?, "a raw BEGIN");

    let mut lease = pool.acquire().await?;
    lease.execute("BEGIN").await?;
    assert!(lease.execute("nonsense").await.is_err());
    drop(lease);
    assert!(is_fresh(&mut pool.acquire().await?).await?, "an aborted transaction");

    let mut lease = pool.acquire().await?;
    (*lease).execute("BEGIN").await?;
    drop(lease);
    assert!(is_fresh(&mut pool.acquire().await?).await?, "an unseen raw BEGIN");

    let mut lease = pool.acquire().await?;
    lease.begin().await?.execute("SELECT 1").await?;
    drop(lease);
    assert!(is_fresh(&mut pool.acquire().await?).await?, "a dropped transaction");

    let mut lease = pool.acquire().await?;
    let slowly = lease.begin_with("SELECT pg_sleep(0.1); BEGIN");
    assert!(timeout(20 * MS, slowly).await.is_err());
    drop(lease);
    assert!(is_fresh(&mut pool.acquire().await?).await?, "a BEGIN cut short");

    let mut lease = pool.acquire().await?;
    let mut transaction = lease.begin().await?;
    let sleeping = transaction.execute("SELECT pg_sleep(1.5)");
    assert!(timeout(20 * MS, sleeping).await.is_err());
    drop(transaction);
    drop(lease);
    assert!(is_fresh(&mut pool.acquire().await?).await?, "a query cut short in a transaction");

    assert_eq!(on_server_pid(&pool).await?, first, "all this on one connection");
    let mut lease = pool.acquire().await?;
    lease.begin().await?.commit().await?;
    assert!(is_fresh(&mut lease).await?);
    drop(lease);
    assert_eq!((pool.counts().closing, pool.counts().idle), (0, 1), "no check when all is well");
    whole(&pool).await
}

/// No warnings that a transaction is already open, or that none is: the logs are for real problems.
#[tokio::test]
async fn restoring_causes_no_warnings() -> Result {
    let server = Server::start()?;
    server.sql("postgres", "CREATE TABLE orders (id int PRIMARY KEY)")?;
    for reset in [Reset::Auto, Reset::Always, Reset::Never] {
        let pool = pool(&server, "quiet", PoolConfig { reset, verify_timeout: 5000 * MS, ..config(1, 0) })?;
        causes_no_warnings(&server, &pool, reset).await?;
    }
    any_causes_no_warnings(&server).await?;
    let session = PostgresSession { pgbouncer: true, ..PostgresSession::default() };
    let bouncer = PgBouncer::start(&server, "postgres", &["pool_mode=transaction", "default_pool_size=2"])?;
    let options: PgConnectOptions = bouncer.url("app", "postgres").parse()?;
    let config = PoolConfig { verify_timeout: 5000 * MS, ..config(1, 0) };
    let pool = Pool::<Postgres>::builder(options).postgres(session).config(config).build()?;
    causes_no_warnings(&server, &pool, "behind a bouncer").await
}

async fn any_causes_no_warnings(server: &Server) -> Result {
    sqlx::any::install_default_drivers();
    let options = poolgate_pool::any_options(&server.url("postgres"))?;
    let pool = Pool::<Any>::builder(options).config(config(1, 0)).build()?;
    for begin in ["BEGIN", "BEGIN; SELECT pg_sleep(0.2)"] {
        let _ = timeout(20 * MS, pool.acquire().await?.execute(begin)).await;
        pool.acquire().await?.execute("SELECT 1").await?;
        let is_fresh = "SELECT now() = statement_timestamp()";
        let row = sqlx::raw_sql(is_fresh).fetch_one(&mut pool.acquire().await?).await?;
        assert!(row.get::<bool, _>(0), "after {begin}");
    }
    assert!(!server.log().contains("WARNING"), "{}", server.log());
    Ok(())
}

async fn causes_no_warnings(server: &Server, pool: &Pool<Postgres>, with: impl std::fmt::Debug) -> Result {
    let sleeping = || sqlx::query("SELECT pg_sleep($1)").bind(0.2);
    let is_quiet = async |after: &str| -> Result {
        assert!(is_fresh(&mut pool.acquire().await?).await?, "{with:?}: {after}");
        let log = server.log();
        let warnings = log.lines().filter(|line| line.contains("WARNING")).collect::<Vec<_>>();
        assert!(warnings.is_empty(), "{with:?}: {after}: {warnings:?}");
        Ok(())
    };
    pool.acquire().await?.execute("SELECT 1").await?;
    is_quiet("nothing open").await?;

    pool.acquire().await?.execute("SET work_mem = '5MB'").await?;
    is_quiet("a setting").await?;

    assert!(pool.acquire().await?.execute("nonsense").await.is_err());
    is_quiet("an error").await?;

    let mut lease = pool.acquire().await?;
    lease.begin().await?.execute("SELECT 1").await?;
    drop(lease);
    is_quiet("a dropped transaction").await?;

    let mut lease = pool.acquire().await?;
    assert!(lease.begin().await?.execute("nonsense").await.is_err());
    drop(lease);
    is_quiet("a dropped transaction that had failed").await?;

    pool.acquire().await?.execute("BEGIN").await?;
    is_quiet("a raw BEGIN").await?;

    let mut lease = pool.acquire().await?;
    lease.execute("BEGIN").await?;
    assert!(lease.execute("nonsense").await.is_err());
    drop(lease);
    is_quiet("a raw BEGIN that had failed").await?;

    (*pool.acquire().await?).execute("BEGIN").await?;
    is_quiet("an unseen raw BEGIN").await?;

    let mut lease = pool.acquire().await?;
    assert!(lease.begin_with("SELECT 1").await.is_err());
    drop(lease);
    is_quiet("a BEGIN that began nothing").await?;

    let mut lease = pool.acquire().await?;
    assert!(timeout(20 * MS, lease.begin_with("SELECT pg_sleep(0.2); BEGIN")).await.is_err());
    drop(lease);
    is_quiet("a BEGIN cut short").await?;

    assert!(timeout(20 * MS, sleeping().execute(&mut pool.acquire().await?)).await.is_err());
    is_quiet("a query cut short").await?;

    let failing = "SELECT pg_sleep(0.2); SELECT 1 / 0";
    assert!(timeout(20 * MS, pool.acquire().await?.execute(failing)).await.is_err());
    is_quiet("a query cut short that failed").await?;

    let mut lease = pool.acquire().await?;
    let mut transaction = lease.begin().await?;
    assert!(timeout(20 * MS, sleeping().execute(&mut transaction)).await.is_err());
    drop(transaction);
    drop(lease);
    is_quiet("a query cut short in a transaction").await?;

    let mut lease = pool.acquire().await?;
    lease.execute("BEGIN").await?;
    assert!(timeout(20 * MS, lease.execute(failing)).await.is_err());
    drop(lease);
    is_quiet("a query cut short in a raw transaction, that failed").await?;

    let mut lease = pool.acquire().await?;
    assert!(timeout(20 * MS, sleeping().execute(&mut lease)).await.is_err());
    sqlx::query("SELECT $1").bind(1).execute(&mut lease).await?;
    drop(lease);
    is_quiet("a query after one cut short").await?;

    let mut lease = pool.acquire().await?;
    assert!(timeout(20 * MS, sleeping().execute(&mut lease)).await.is_err());
    lease.begin().await?.commit().await?;
    drop(lease);
    is_quiet("a transaction after a query cut short").await?;

    let mut lease = pool.acquire().await?;
    server.sql("postgres", "TRUNCATE orders")?;
    assert!(timeout(20 * MS, sleeping().execute(&mut lease)).await.is_err());
    lease.execute("INSERT INTO orders VALUES (1)").await?;
    drop(lease);
    is_quiet("a write after a query cut short").await?;
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM orders")?, "1", "{with:?}: what was done is kept");
    whole(pool).await
}

async fn on_server_pid(pool: &Pool<Postgres>) -> Result<i32> {
    let mut lease = pool.acquire().await?;
    Ok(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut lease).await?)
}

#[tokio::test]
async fn a_query_that_does_not_end_costs_its_connection() -> Result {
    let pool = pool(&SERVER, "endless", PoolConfig { verify_timeout: 50 * MS, ..config(1, 0) })?;
    let first = on_server_pid(&pool).await?;
    let mut lease = pool.acquire().await?;
    assert!(timeout(20 * MS, lease.execute("SELECT pg_sleep(60)")).await.is_err());
    drop(lease);
    let started = Instant::now();
    assert_ne!(on_server_pid(&pool).await?, first);
    assert!(started.elapsed() < 2000 * MS);
    SERVER.sql("postgres", &format!("SELECT pg_terminate_backend({first})"))?;
    whole(&pool).await
}
