//! Session settings, and leases that are revoked.

use super::*;

fn with_session(name: &str, session: &PostgresSession, config: PoolConfig) -> Result<Pool<Postgres>> {
    let session = PostgresSession { application_name: Some(name.to_owned()), ..session.clone() };
    Ok(Pool::<Postgres>::builder(SERVER.url("postgres").parse()?).postgres(session).config(config).build()?)
}

fn limits() -> PostgresSession {
    PostgresSession {
        statement_timeout: Some(30_000 * MS),
        lock_timeout: Some(5000 * MS),
        idle_in_transaction_timeout: Some(60_000 * MS),
        client_check_interval: Some(1500 * MS),
        ..PostgresSession::default()
    }
}

const SHOWN: &str = "SELECT concat_ws(' ', current_setting('application_name'), current_setting('statement_timeout'), \
                     current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'), \
                     current_setting('client_connection_check_interval'))";

#[tokio::test]
async fn the_server_knows_who_connects_and_how_long_it_may_wait() -> Result {
    let pool = with_session("told", &limits(), config(1, 0))?;
    let mut lease = pool.acquire().await?;
    let shown: String = sqlx::query_scalar(SHOWN).fetch_one(&mut lease).await?;
    assert_eq!(shown, "told 30s 5s 1min 1500ms");
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut lease).await?;
    assert_eq!(pool.leases()[0].server_pid, Some(pid));
    drop(lease);

    pool.set_connect_options(SERVER.url("template1").parse()?);
    let shown: String = sqlx::query_scalar(SHOWN).fetch_one(&mut pool.acquire().await?).await?;
    assert_eq!(shown, "told 30s 5s 1min 1500ms", "and after a move");
    pool.drain(5000 * MS).await;

    sqlx::any::install_default_drivers();
    let session = PostgresSession { application_name: Some("told-any".to_owned()), ..limits() };
    let any = Pool::<Any>::builder(SERVER.url("postgres").parse()?).postgres(session).build()?;
    let mut lease = any.acquire().await?;
    let shown: String = sqlx::query_scalar(SHOWN).fetch_one(&mut lease).await?;
    assert_eq!(shown, "told-any 30s 5s 1min 1500ms");
    assert!(any.leases()[0].server_pid.is_some());
    Ok(())
}

/// A query is abandoned; its connection cannot be restored and is closed; the server notices and stops the query.
#[tokio::test]
async fn the_server_stops_working_for_a_client_that_has_gone() -> Result {
    let check = PostgresSession { client_check_interval: Some(100 * MS), ..PostgresSession::default() };
    let pool = with_session("gone", &check, PoolConfig { verify_timeout: 50 * MS, ..config(1, 0) })?;
    let mut lease = pool.acquire().await?;
    assert!(timeout(50 * MS, lease.execute("SELECT pg_sleep(60)")).await.is_err());
    assert_eq!(on_server(&SERVER, "gone", "count(*)")?, "1");
    drop(lease);
    let deadline = Instant::now() + 5000 * MS;
    while on_server(&SERVER, "gone", "count(*)")? != "0" {
        assert!(Instant::now() < deadline, "still sleeping");
        sleep(10 * MS).await;
    }
    whole(&pool).await
}

#[tokio::test]
async fn no_statement_stays_behind_for_a_bouncer() -> Result {
    let left_behind = async |pgbouncer: bool| -> Result<i64> {
        let session = PostgresSession { pgbouncer, ..limits() };
        let pool = with_session("bounced", &session, config(1, 0))?;
        let mut lease = pool.acquire().await?;
        let sum: i32 = sqlx::query_scalar("SELECT $1 + 1").bind(1).fetch_one(&mut lease).await?;
        let mut transaction = lease.begin().await?;
        let more: i32 = sqlx::query_scalar("SELECT $1 + 2").bind(1).fetch_one(&mut transaction).await?;
        transaction.commit().await?;
        assert_eq!((sum, more), (2, 3));
        assert_eq!(pool.leases()[0].server_pid.is_none(), pgbouncer);
        let rows = sqlx::raw_sql("SELECT count(*) FROM pg_prepared_statements").fetch_one(&mut lease).await?;
        Ok(rows.get(0))
    };
    assert_eq!(left_behind(false).await?, 2);
    assert_eq!(left_behind(true).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_revoked_lease_is_of_no_more_use_to_its_holder() -> Result {
    let pool = pool(&SERVER, "revoked", config(1, 0))?;
    let mut lease = pool.acquire().await?;
    lease.execute("CREATE TABLE revoked (n int)").await?;
    let mut transaction = lease.begin().await?;
    transaction.execute("INSERT INTO revoked VALUES (1)").await?;
    assert!(pool.revoke(pool.leases()[0].id));
    assert!(pool.leases()[0].revoked);
    let used = (&mut transaction).execute("SELECT 1").await.unwrap_err();
    assert!(Revoked::caused(&used), "{used}");
    let committed = transaction.commit().await.unwrap_err();
    assert!(Revoked::caused(&committed), "{committed}");
    for error in [
        lease.execute("SELECT 1").await.map(drop),
        sqlx::query("SELECT 1").fetch_optional(&mut lease).await.map(drop),
        lease.prepare(sqlx::SqlStr::from_static("SELECT 1")).await.map(drop),
        lease.begin().await.map(drop),
    ] {
        assert!(Revoked::caused(&error.unwrap_err()));
    }
    let id = lease.id();
    assert_eq!(pool.counts().checked_out, 1, "it holds its place until it is dropped");
    drop(lease);
    assert!(!pool.revoke(id), "it has come back");
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM revoked").fetch_one(&mut pool.acquire().await?).await?;
    assert_eq!(rows, 0, "the transaction was rolled back with its connection");
    whole(&pool).await
}

/// A holder never returns its lease: its session is ended on the server, and its slot serves the next caller.
#[tokio::test]
async fn the_slot_of_a_forgotten_lease_can_be_reclaimed() -> Result {
    let pool = with_session("forgotten", &PostgresSession::default(), config(1, 0))?;
    let mut forgotten = pool.acquire().await?;
    let info = pool.leases().remove(0);
    assert!(!pool.reclaim(info.id), "not before it is revoked");
    assert!(pool.revoke(info.id));
    let next = tokio::spawn(pool.acquire());
    let pid = info.server_pid.ok_or("no pid")?;
    SERVER.sql("postgres", &format!("SELECT pg_terminate_backend({pid}, 5000)"))?;
    assert!(pool.reclaim(info.id));
    assert!(is_fresh(&mut next.await??).await?);
    assert!(Revoked::caused(&forgotten.execute("SELECT 1").await.unwrap_err()));
    assert_eq!(on_server(&SERVER, "forgotten", "count(*)")?, "1");
    drop(forgotten);
    assert_eq!(pool.counts().open(), 1, "its late return changes nothing");
    whole(&pool).await
}

/// Connections are opened ahead of demand, and replaced when they are lost.
#[tokio::test]
async fn connections_are_opened_ahead_of_demand() -> Result {
    let pool = pool(&SERVER, "ahead", config(3, 2))?;
    let idle = async |expected: u32| {
        let deadline = Instant::now() + 5000 * MS;
        while pool.counts().idle != expected {
            assert!(Instant::now() < deadline, "{:?}", pool.counts());
            sleep(5 * MS).await;
        }
    };
    pool.acquire().await?;
    pool.set_min_connections(2);
    idle(2).await;
    pool.set_min_connections(10);
    idle(3).await;
    pool.dispose();
    idle(3).await;
    pool.resize(5, 0)?;
    idle(5).await;
    pool.acquire().await?.discard();
    idle(5).await;
    whole(&pool).await
}

/// Resizes under load: never more connections than the larger of both sizes, and no caller is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn resize_under_load_keeps_its_limits() -> Result {
    let pool = pool(&SERVER, "resized", config(2, 2))?;
    let end = Instant::now() + 1500 * MS;
    let users = (0..24).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            while Instant::now() < end {
                let mut lease = pool.acquire().await.map_err(|error| error.to_string())?;
                lease.execute("SELECT pg_sleep(0.002)").await.map_err(|error| error.to_string())?;
            }
            Ok::<_, String>(())
        })
    });
    let users = users.collect::<Vec<_>>();
    for round in 0_u32.. {
        if Instant::now() >= end {
            break;
        }
        let (size, overflow) = [(1, 0), (6, 4), (3, 1)][round as usize % 3];
        pool.resize(size, overflow)?;
        sleep(50 * MS).await;
        let counts = pool.counts();
        assert!(counts.open() <= 10 && counts.capacity == size + overflow, "{counts:?}");
    }
    for user in users {
        user.await??;
    }
    pool.resize(2, 1)?;
    let deadline = Instant::now() + 5000 * MS;
    while pool.counts().open() > 2 {
        assert!(Instant::now() < deadline, "{:?}", pool.counts());
        sleep(5 * MS).await;
    }
    whole(&pool).await
}

/// A holder that keeps its lease cannot prevent the pool from closing.
#[tokio::test]
async fn drain_ends_at_its_deadline() -> Result {
    let pool = pool(&SERVER, "drained", config(3, 0))?;
    whole(&pool).await?;
    let held = pool.acquire().await?;
    let started = Instant::now();
    let drained = pool.drain(200 * MS).await;
    assert!(started.elapsed() < 1500 * MS, "{:?}", started.elapsed());
    assert_eq!((drained.leases_left, drained.idle_closed), (1, 2));
    drop(held);
    assert_eq!(pool.drain(5000 * MS).await.connections_left, 0);
    Ok(())
}
