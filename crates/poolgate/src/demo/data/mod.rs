//! The shop's tables and rows, created at the first start in one transaction.
//!
//! A killed start leaves nothing behind, and a second start finds everything in place. Of several processes that start
//! at once, one creates the data while the others wait.

mod rows;
mod schema;

use std::time::{Duration, Instant};

use poolgate_pool::{Lease, Transaction};
use sqlx::{Any, AnyConnection, AssertSqlSafe};
use tracing::info;

use rows::Value;

/// Key of PostgreSQL's advisory lock around the creation: "poolgate" in ASCII.
const ADVISORY_LOCK: i64 = 0x706f_6f6c_6761_7465;

/// Rows per INSERT: with at most 5 columns far below the limits on bound values of SQLite (32,766) and PostgreSQL
/// (65,535).
const ROWS_PER_INSERT: usize = 500;

/// Whether the data was found or created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prepared {
    /// It existed already.
    Found,
    /// It was created now.
    Made {
        /// Number of rows in all tables.
        rows: u64,
    },
}

/// Creates the shop's tables and rows, or finds them in place.
///
/// # Errors
///
/// The database's error. The transaction is rolled back; call it again.
pub(super) async fn prepare(connection: &mut Lease<Any>) -> sqlx::Result<Prepared> {
    let started = Instant::now();
    let postgres = is_postgres(connection);
    let mut transaction = begin_write(connection).await?;
    if postgres {
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(ADVISORY_LOCK).execute(&mut transaction).await?;
    }
    sqlx::query(schema::MARKER).execute(&mut transaction).await?;
    let version: Option<i64> =
        sqlx::query_scalar("SELECT MAX(version) FROM shop_data").fetch_one(&mut transaction).await?;
    match version {
        Some(schema::VERSION) => {
            transaction.commit().await?;
            return Ok(Prepared::Found);
        }
        Some(other) => return Err(wrong_version(other)),
        None => {}
    }

    info!("Demo data: creating the shop's tables and rows (once, takes a few seconds)");
    for table in schema::tables(postgres) {
        sqlx::query(AssertSqlSafe(table)).execute(&mut transaction).await?;
    }
    let rows = fill(&mut transaction).await?;
    for index in schema::INDEXES {
        sqlx::query(index).execute(&mut transaction).await?;
    }
    if postgres {
        for sequence in schema::POSTGRES_SEQUENCES {
            sqlx::query(sequence).execute(&mut transaction).await?;
        }
    }
    sqlx::query("INSERT INTO shop_data (version) VALUES ($1)").bind(schema::VERSION).execute(&mut transaction).await?;
    transaction.commit().await?;
    // Without statistics PostgreSQL plans badly until autovacuum has run.
    sqlx::query("ANALYZE").execute(&mut *connection).await?;
    info!(rows, seconds = seconds(started.elapsed()), "Demo data: ready");
    Ok(Prepared::Made { rows })
}

/// Begins a write transaction.
pub(super) async fn begin_write(connection: &mut Lease<Any>) -> sqlx::Result<Transaction<'_, Any>> {
    if is_postgres(connection) {
        connection.begin().await
    } else {
        // A transaction that reads first and then writes fails at once if another one has written in between
        // (SQLITE_BUSY_SNAPSHOT). A transaction that begins as a write waits for its turn.
        connection.begin_with("BEGIN IMMEDIATE").await
    }
}

/// Whether the database is PostgreSQL; otherwise it is SQLite.
pub(super) fn is_postgres(connection: &AnyConnection) -> bool {
    connection.backend_name() == "PostgreSQL"
}

async fn fill(transaction: &mut Transaction<'_, Any>) -> sqlx::Result<u64> {
    let mut rows = 0;
    let products = (1..=rows::PRODUCTS).map(rows::product);
    rows += insert(transaction, "products (id, name, category, price_cents, stock)", products).await?;
    let customers = (1..=rows::CUSTOMERS).map(rows::customer);
    rows += insert(transaction, "customers (id, name, email, country)", customers).await?;
    let orders = (1..=rows::ORDERS).map(rows::order);
    rows += insert(transaction, "orders (id, customer_id, ordered_at)", orders).await?;
    let lines = (1..=rows::ORDERS).flat_map(rows::order_lines);
    let columns = "order_lines (order_id, line_number, product_id, quantity, unit_price_cents)";
    rows += insert(transaction, columns, lines).await?;
    Ok(rows)
}

async fn insert(
    transaction: &mut Transaction<'_, Any>,
    columns: &str,
    mut rows: impl Iterator<Item = Vec<Value>> + Send,
) -> sqlx::Result<u64> {
    let started = Instant::now();
    let mut inserted = 0;
    loop {
        let batch: Vec<_> = rows.by_ref().take(ROWS_PER_INSERT).collect();
        let Some(width) = batch.first().map(Vec::len) else { break };
        inserted += batch.len() as u64;
        let statement = format!("INSERT INTO {columns} VALUES {}", placeholders(batch.len(), width));
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for value in batch.into_iter().flatten() {
            query = match value {
                Value::Integer(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
            };
        }
        query.execute(&mut *transaction).await?;
    }
    let table = columns.split(' ').next().unwrap_or(columns);
    info!(table, rows = inserted, seconds = seconds(started.elapsed()), "Demo data: table filled");
    Ok(inserted)
}

/// `($1,$2),($3,$4)` for two rows of two columns.
fn placeholders(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * (columns * 6 + 3));
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..columns {
            if column > 0 {
                text.push(',');
            }
            text.push('$');
            text.push_str(&(row * columns + column + 1).to_string());
        }
        text.push(')');
    }
    text
}

fn wrong_version(found: i64) -> sqlx::Error {
    sqlx::Error::Configuration(
        format!(
            "the database contains demo data of version {found}, but this program needs version {}: remove the data or use another database",
            schema::VERSION
        )
        .into(),
    )
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use poolgate_pool::Pool;

    use super::*;

    async fn connect(url: &str) -> Lease<Any> {
        sqlx::any::install_default_drivers();
        let pool = Pool::<Any>::builder(url.parse().expect("a URL"))
            .after_connect(poolgate_pool::sqlite_defaults)
            .build()
            .expect("a pool");
        pool.acquire().await.expect("the database answers")
    }

    async fn sales(connection: &mut Lease<Any>) -> (i64, i64) {
        sqlx::query_as("SELECT COUNT(*), CAST(SUM(quantity * unit_price_cents) AS BIGINT) FROM order_lines")
            .fetch_one(connection)
            .await
            .expect("order_lines")
    }

    #[test]
    fn placeholders_count_through_all_rows() {
        assert_eq!(placeholders(2, 2), "($1,$2),($3,$4)");
        assert_eq!(placeholders(1, 3), "($1,$2,$3)");
    }

    #[tokio::test]
    async fn sqlite_is_filled_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("shop.db").display());
        let mut connection = connect(&url).await;
        let Prepared::Made { rows } = prepare(&mut connection).await.expect("made") else { panic!("not made") };
        assert!(rows > 95_000);
        let first = sales(&mut connection).await;
        drop(connection);

        let mut connection = connect(&url).await;
        assert_eq!(prepare(&mut connection).await.expect("found"), Prepared::Found);
        assert_eq!(sales(&mut connection).await, first);
    }

    #[tokio::test]
    async fn a_killed_start_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("shop.db").display());
        let mut connection = connect(&url).await;
        let mut transaction = begin_write(&mut connection).await.expect("begun");
        sqlx::query(schema::MARKER).execute(&mut transaction).await.expect("marker");
        for table in schema::tables(false) {
            sqlx::query(AssertSqlSafe(table)).execute(&mut transaction).await.expect("table");
        }
        drop(transaction);
        connection.discard();
        drop(connection);

        let mut connection = connect(&url).await;
        assert!(matches!(prepare(&mut connection).await.expect("made"), Prepared::Made { .. }));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_concurrent_starts_on_postgres_one_does_the_work() {
        let postgres = poolgate_test_postgres::Postgres::start().expect("PostgreSQL");
        let url = postgres.create_database("shop").expect("a database");
        let (mut one, mut other) = (connect(&url).await, connect(&url).await);
        let (first, second) = tokio::join!(prepare(&mut one), prepare(&mut other));
        let (first, second) = (first.expect("prepared"), second.expect("prepared"));
        assert!(
            matches!(
                (first, second),
                (Prepared::Made { .. }, Prepared::Found) | (Prepared::Found, Prepared::Made { .. })
            ),
            "{first:?}, {second:?}"
        );
        // A new number for an order.
        let next: i64 = sqlx::query_scalar("INSERT INTO orders (customer_id, ordered_at) VALUES (1, 0) RETURNING id")
            .fetch_one(&mut one)
            .await
            .expect("inserted");
        assert_eq!(next, rows::ORDERS as i64 + 1);

        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut sqlite = connect(&format!("sqlite://{}?mode=rwc", folder.path().join("shop.db").display())).await;
        prepare(&mut sqlite).await.expect("made");
        assert_eq!(sales(&mut sqlite).await, sales(&mut one).await, "both databases hold the same");
    }
}
