//! The server of the pool's sessions is no longer the primary.

use super::*;

const INSERT: &str = "INSERT INTO orders VALUES (1)";

fn primary() -> Result<Server> {
    let server = Server::start()?;
    server.sql("postgres", "CREATE TABLE orders (x int)")?;
    Ok(server)
}

/// The server refuses writes from now on, and ends no session.
fn demote(server: &Server) -> Result {
    server.sql("postgres", "ALTER SYSTEM SET default_transaction_read_only = on")?;
    server.sql("postgres", "SELECT pg_reload_conf()")?;
    Ok(())
}

fn pool_through(proxy: &Proxy, config: PoolConfig) -> Result<Pool<Postgres>> {
    Ok(Pool::builder(proxy.url("postgres").parse()?).config(config).build()?)
}

async fn try_insert(pool: &Pool<Postgres>) -> Result<bool> {
    let mut lease = pool.acquire().await?;
    Ok(lease.execute(INSERT).await.is_ok())
}

#[tokio::test]
async fn sessions_of_a_demoted_primary_leave_with_one_error_each() -> Result {
    let (old, new) = (primary()?, primary()?);
    let proxy = Proxy::to(old.port()).await?;
    let pool = pool_through(&proxy, config(3, 0))?;
    whole(&pool).await?;
    assert!(try_insert(&pool).await?);

    demote(&old)?;
    // The sessions notice after a while.
    while old.sql("postgres", "SHOW default_transaction_read_only")? != "on" {
        sleep(MS).await;
    }
    proxy.lead_to(new.port());
    let mut failed = 0;
    for _ in 0..10 {
        failed += u32::from(!try_insert(&pool).await?);
        sleep(50 * MS).await;
    }
    assert!(failed <= 3, "{failed} of 10 failed");
    assert_eq!(new.sql("postgres", "SELECT count(*) FROM orders")?, (10 - failed).to_string());
    whole(&pool).await
}

/// The error is `25006` as well, but the server is not the cause.
#[tokio::test]
async fn a_transaction_that_the_app_made_read_only_costs_no_connection() -> Result {
    let pool = pool(&SERVER, "read_only_by_choice", config(1, 0))?;
    let mut lease = pool.acquire().await?;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut lease).await?;
    lease.execute("CREATE TABLE IF NOT EXISTS orders (x int)").await?;
    drop(lease);
    for _ in 0..10 {
        let mut lease = pool.acquire().await?;
        let mut transaction = lease.begin_with("BEGIN READ ONLY").await?;
        let error = transaction.execute(INSERT).await.expect_err("read only");
        assert_eq!(error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(), Some("25006"));
    }
    // A session that was made read-only: that ends with its holder.
    let mut lease = pool.acquire().await?;
    lease.execute("SET default_transaction_read_only = on").await?;
    assert!(lease.execute(INSERT).await.is_err());
    drop(lease);
    let mut lease = pool.acquire().await?;
    assert_eq!(sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").fetch_one(&mut lease).await?, pid);
    lease.execute(INSERT).await?;
    drop(lease);
    whole(&pool).await
}

/// The name leads to a read-only server, and the app writes all the time: the pool must not flood it with connects.
#[tokio::test]
async fn a_server_that_stays_read_only_is_asked_for_few_connections() -> Result {
    let server = primary()?;
    demote(&server)?;
    while server.sql("postgres", "SHOW default_transaction_read_only")? != "on" {
        sleep(MS).await;
    }
    let pool = pool(&server, "reader", config(2, 0))?;
    let started = Instant::now();
    let mut turns = 0;
    let mut pids = HashSet::new();
    while started.elapsed() < 1000 * MS {
        let mut lease = pool.acquire().await?;
        pids.insert(sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").fetch_one(&mut lease).await?);
        assert!(lease.execute(INSERT).await.is_err());
        turns += 1;
    }
    // At first each of the two connections is replaced once, then one per second.
    let allowed = 4 + started.elapsed().as_secs() as usize + 1;
    println!("{} connections for {turns} writes", pids.len());
    assert!(pids.len() <= allowed, "{} connections for {turns} writes", pids.len());
    Ok(())
}
