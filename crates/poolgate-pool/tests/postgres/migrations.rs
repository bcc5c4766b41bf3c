//! A schema changes under connections that have prepared statements.

use super::*;

const TURNS: u32 = 10;

/// Acquires and returns a lease in each turn; returns the number of failed turns.
async fn failures(pool: &Pool<Postgres>, sql: &'static str) -> Result<u32> {
    let mut failed = 0;
    for _ in 0..TURNS {
        let mut lease = pool.acquire().await?;
        let result = sqlx::query(sql).fetch_all(&mut lease).await;
        failed += u32::from(result.inspect_err(|error| println!("{error}")).is_err());
    }
    Ok(failed)
}

#[tokio::test]
async fn a_migration_costs_a_connection_one_error() -> Result {
    SERVER.sql("postgres", "CREATE TABLE migrated (a int); INSERT INTO migrated VALUES (1)")?;
    let pool = pool(&SERVER, "migrated", config(1, 0))?;
    let sql = "SELECT * FROM migrated";
    assert_eq!(failures(&pool, sql).await?, 0);
    let first = pool.acquire().await?.id();
    for (number, change) in [
        "ALTER TABLE migrated ADD COLUMN b int",
        "ALTER TABLE migrated ALTER COLUMN a TYPE text",
        "ALTER TABLE migrated DROP COLUMN b",
        "DROP TABLE migrated; CREATE TABLE migrated (c text, d int)",
    ]
    .into_iter()
    .enumerate()
    {
        SERVER.sql("postgres", change)?;
        let failed = failures(&pool, sql).await?;
        assert!(failed <= 1, "{failed} of {TURNS} failed after {change}");
        assert_eq!(failures(&pool, sql).await?, 0, "change {number}, lease {first}");
    }
    whole(&pool).await
}

/// With `sqlx::Any` prepared statements cannot be discarded: the connection is replaced.
#[tokio::test]
async fn a_migration_costs_a_connection_of_any_one_error() -> Result {
    sqlx::any::install_default_drivers();
    SERVER.sql("postgres", "CREATE TABLE migrated_any (a int)")?;
    let pool = Pool::<Any>::builder(SERVER.url("postgres").parse()?).config(config(2, 0)).build()?;
    let failures = async || -> Result<u32> {
        let mut failed = 0;
        for _ in 0..TURNS {
            let mut leases = (pool.acquire().await?, pool.acquire().await?);
            for lease in [&mut leases.0, &mut leases.1] {
                failed += u32::from(sqlx::query("SELECT * FROM migrated_any").fetch_all(lease).await.is_err());
            }
        }
        Ok(failed)
    };
    assert_eq!(failures().await?, 0);
    SERVER.sql("postgres", "ALTER TABLE migrated_any ADD COLUMN b int")?;
    let failed = failures().await?;
    assert!(failed <= 2, "{failed} of {} failed", 2 * TURNS);
    Ok(())
}

#[tokio::test]
async fn a_holder_who_asks_again_after_a_migration_is_served() -> Result {
    SERVER.sql("postgres", "CREATE TABLE kept_open (a int)")?;
    let pool = pool(&SERVER, "kept_open", config(1, 0))?;
    let mut lease = pool.acquire().await?;
    let sql = "SELECT * FROM kept_open WHERE a > $1";
    sqlx::query(sql).bind(0).fetch_all(&mut lease).await?;
    SERVER.sql("postgres", "ALTER TABLE kept_open ADD COLUMN b int")?;
    assert!(sqlx::query(sql).bind(0).fetch_all(&mut lease).await.is_err(), "the plan that was cached");
    sqlx::query(sql).bind(0).fetch_all(&mut lease).await?;
    assert!(sqlx::query(sql).bind(0).fetch_optional(&mut lease).await?.is_none());

    // The same in a transaction, which the error ends.
    SERVER.sql("postgres", "ALTER TABLE kept_open ADD COLUMN c int")?;
    let mut transaction = lease.begin().await?;
    assert!(sqlx::query(sql).bind(0).fetch_all(&mut transaction).await.is_err());
    transaction.rollback().await?;
    let mut transaction = lease.begin().await?;
    sqlx::query(sql).bind(0).fetch_all(&mut transaction).await?;
    transaction.commit().await?;
    drop(lease);
    whole(&pool).await
}

/// A function's plans belong to the session: discarding prepared statements does not renew them.
#[tokio::test]
async fn a_plan_within_a_function_is_renewed_with_its_session() -> Result {
    SERVER.sql(
        "postgres",
        "CREATE TABLE within (a int); INSERT INTO within VALUES (1);
         CREATE FUNCTION read_within() RETURNS SETOF within LANGUAGE plpgsql AS
             $$ BEGIN RETURN QUERY SELECT * FROM within; END $$",
    )?;
    let pool = pool(&SERVER, "within", config(1, 0))?;
    let sql = "SELECT * FROM read_within()";
    assert_eq!(failures(&pool, sql).await?, 0);
    SERVER.sql("postgres", "ALTER TABLE within ADD COLUMN b int")?;
    let failed = failures(&pool, sql).await?;
    assert!(failed <= 2, "{failed} of {TURNS} failed");
    whole(&pool).await
}

/// The app discards statements on the server that sqlx has prepared.
#[tokio::test]
async fn statements_that_are_gone_are_prepared_again() -> Result {
    let pool = pool(&SERVER, "gone_statements", config(1, 0))?;
    for discard in ["DEALLOCATE ALL", "DISCARD ALL"] {
        assert_eq!(failures(&pool, "SELECT 1 + 1").await?, 0);
        pool.acquire().await?.execute(discard).await?;
        let failed = failures(&pool, "SELECT 1 + 1").await?;
        assert!(failed <= 1, "{failed} of {TURNS} failed after {discard}");
        assert_eq!(failures(&pool, "SELECT 1 + 1").await?, 0);
    }
    whole(&pool).await
}

/// A recreated type has another OID; sqlx keeps the old one.
#[tokio::test]
async fn a_type_that_was_made_again_is_looked_up_again() -> Result {
    struct Mood(&'static str);
    impl sqlx::Type<Postgres> for Mood {
        fn type_info() -> sqlx::postgres::PgTypeInfo {
            sqlx::postgres::PgTypeInfo::with_name("mood")
        }
    }
    impl sqlx::Encode<'_, Postgres> for Mood {
        fn encode_by_ref(
            &self,
            buffer: &mut sqlx::postgres::PgArgumentBuffer,
        ) -> std::result::Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
            sqlx::Encode::<Postgres>::encode(self.0, buffer)
        }
    }
    SERVER.sql("postgres", "CREATE TYPE mood AS ENUM ('sad', 'glad')")?;
    let pool = pool(&SERVER, "moods", config(1, 0))?;
    let ask = async || -> Result<bool> {
        let mut lease = pool.acquire().await?;
        let result = sqlx::query("SELECT $1::text").bind(Mood("glad")).fetch_all(&mut lease).await;
        Ok(result.inspect_err(|error| println!("{error}")).is_err())
    };
    assert!(!ask().await?);
    SERVER.sql("postgres", "DROP TYPE mood; CREATE TYPE mood AS ENUM ('sad', 'glad')")?;
    let mut failed = 0;
    for _ in 0..TURNS {
        failed += u32::from(ask().await?);
    }
    assert!(failed <= 1, "{failed} of {TURNS} failed");
    whole(&pool).await
}

/// A missing feature of the server is no reason to discard statements.
#[tokio::test]
async fn a_feature_that_is_missing_costs_no_connection() -> Result {
    let pool = pool(&SERVER, "missing_feature", config(1, 0))?;
    let first = on_server(&SERVER, "missing_feature", "count(*)")?;
    assert_eq!(first, "0");
    let pid = server_pid(&pool).await?;
    for _ in 0..TURNS {
        let mut lease = pool.acquire().await?;
        let error = lease.execute("SELECT DISTINCT 1 FOR UPDATE").await.expect_err("not possible");
        assert_eq!(error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(), Some("0A000"));
    }
    assert_eq!(server_pid(&pool).await?, pid);
    whole(&pool).await
}

async fn server_pid(pool: &Pool<Postgres>) -> Result<i32> {
    let mut lease = pool.acquire().await?;
    Ok(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut lease).await?)
}
