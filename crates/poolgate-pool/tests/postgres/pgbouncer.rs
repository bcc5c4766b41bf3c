//! Behind a PgBouncer in transaction mode: each transaction may run in another session.

use poolgate_test_postgres::PgBouncer;

use super::*;

const TASKS: u32 = 8;
const TURNS: u32 = 40;

/// Queries with arguments, alone and in transactions, by many connections over two sessions; returns the failures.
async fn failures(bouncer: &PgBouncer, pgbouncer: bool) -> Result<usize> {
    let session = PostgresSession {
        application_name: Some("bounced".to_owned()),
        statement_timeout: Some(30_000 * MS),
        pgbouncer,
        ..PostgresSession::default()
    };
    // Without the startup parameter that PgBouncer refuses, so that the other pool can connect at all.
    let options = bouncer.url("app", "postgres").parse::<PgConnectOptions>()?;
    let options = if pgbouncer { options } else { options.extra_float_digits(None) };
    let pool = Pool::<Postgres>::builder(options).postgres(session).config(config(TASKS, 0)).build()?;
    let tasks = (0..TASKS).map(|task| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut failed = Vec::new();
            for turn in 0..TURNS {
                let mut lease = pool.acquire().await.map_err(|error| error.to_string())?;
                let (one, other) = (task as i32, turn as i32);
                let sum = sqlx::query_scalar::<_, i32>("SELECT $1 + $2").bind(one).bind(other).fetch_one(&mut lease);
                failed.extend(sum.await.and_then(|sum| right(sum == one + other)).err());
                let rows = sqlx::query("SELECT generate_series(1, $1)").bind(20).fetch_all(&mut lease);
                failed.extend(rows.await.and_then(|rows| right(rows.len() == 20)).err());
                failed.extend(in_transaction(&mut lease, one * other).await.err());
            }
            Ok::<_, String>(failed)
        })
    });
    let mut failed = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        failed.extend(task.await??);
    }
    if let Some(error) = failed.first() {
        println!("pgbouncer={pgbouncer}: {} failed, such as {error}", failed.len());
    }
    if pgbouncer {
        // A query that was cut short is rolled back here as well.
        let mut lease = pool.acquire().await?;
        assert!(timeout(20 * MS, lease.execute("SELECT pg_sleep(0.3)")).await.is_err());
        drop(lease);
        whole(&pool).await?;
    }
    Ok(failed.len())
}

/// A prepared statement with the same name may belong to another client.
fn right(answer: bool) -> sqlx::Result<()> {
    if answer { Ok(()) } else { Err(sqlx::Error::Protocol("the answer to another question".to_owned())) }
}

async fn in_transaction(lease: &mut Lease<Postgres>, number: i32) -> sqlx::Result<()> {
    let mut transaction = lease.begin().await?;
    for _ in 0..2 {
        let same: i32 = sqlx::query_scalar("SELECT $1").bind(number).fetch_one(&mut transaction).await?;
        right(same == number)?;
    }
    transaction.commit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_meet_no_other_session_behind_a_bouncer() -> Result {
    let bouncer = PgBouncer::start(&SERVER, "postgres", &["pool_mode=transaction", "default_pool_size=2"])?;
    assert_eq!(failures(&bouncer, true).await?, 0);
    let unaware = failures(&bouncer, false).await?;
    println!("{unaware} of {} fail where the bouncer is not known of", 3 * TASKS * TURNS);
    assert!(unaware > 0, "sessions were not shared");
    Ok(())
}

/// Clients share the session: no change outlives its transaction, and no reset hits another client's transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_outlives_a_transaction_behind_a_bouncer() -> Result {
    const ASK: &str = "SELECT concat_ws(' ', coalesce(nullif(current_setting('bounced.tenant', true), ''), '-'),
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()), current_user,
        (SELECT count(*) FROM pg_listening_channels()),
        (SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND pg_table_is_visible(oid)))";
    SERVER.sql("postgres", "CREATE ROLE bounced")?;
    let bouncer = PgBouncer::start(&SERVER, "postgres", &["pool_mode=transaction", "default_pool_size=1"])?;
    let session = PostgresSession { pgbouncer: true, ..PostgresSession::default() };
    let options = bouncer.url("app", "postgres").parse::<PgConnectOptions>()?;
    let pool = Pool::<Postgres>::builder(options.clone()).postgres(session).config(config(2, 0)).build()?;
    // Another client of the same PgBouncer, and so of the same session.
    let mut other =
        sqlx::PgConnection::connect_with(&options.extra_float_digits(None).statement_cache_capacity(0)).await?;
    let mut seen = async || -> Result<String> { Ok(sqlx::raw_sql(ASK).fetch_one(&mut other).await?.get(0)) };
    let nothing = seen().await?;
    assert!(nothing.starts_with("- 0 "), "{nothing}");
    for sql in [
        "SET bounced.tenant = '42'",
        "SELECT set_config('bounced.tenant', '42', false)",
        "SELECT pg_advisory_lock(1)",
        "SET ROLE bounced",
        "LISTEN bounced",
        "CREATE TEMP TABLE carried (a int)",
    ] {
        let mut lease = pool.acquire().await?;
        lease.execute(sql).await?;
        assert_eq!(seen().await?, nothing, "after {sql}");
        let mut transaction = lease.begin().await?;
        transaction.execute(sql).await?;
        transaction.commit().await?;
        assert_eq!(seen().await?, nothing, "after {sql} in a transaction");
    }
    let mut lease = pool.acquire().await?;
    sqlx::query("SELECT set_config('bounced.tenant', $1, false)").bind("42").fetch_one(&mut lease).await?;
    assert_eq!(seen().await?, nothing, "with an argument");

    // Within a transaction the change holds, regardless of the pool's other connections.
    let mut transaction = lease.begin().await?;
    transaction.execute("SET LOCAL bounced.tenant = '42'").await?;
    let within: String = sqlx::query_scalar(ASK).fetch_one(&mut transaction).await?;
    assert!(within.starts_with("42 "), "{within}");
    transaction.commit().await?;
    drop(lease);
    whole(&pool).await
}
