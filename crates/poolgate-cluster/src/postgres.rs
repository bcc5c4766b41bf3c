//! The store in a PostgreSQL database: one small table, one statement for each exchange.
//!
//! Rows stay small and are updated in place (HOT): only the primary key is indexed, and the fill factor leaves room on
//! each page. Only the database's own `now()` is written or compared. Statements go by the simple protocol, so a
//! PgBouncer in transaction mode may be in between.

use std::collections::BTreeMap;

use poolgate_control::cluster::{Census, Exchange, Ledger, ReplicaId, Row, Seen};
use poolgate_types::ThrottlingConfig;
use serde::Deserialize;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row as _, postgres::PgConnectOptions};

use crate::store::{Store, StoreError};

/// A row that was not written for this long is deleted. Its owner, if it still lives, writes it again.
const FORGOTTEN: &str = "10 minutes";

/// The fill factor leaves a page of 8 KiB room for about ten updates before it is cleaned in passing.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS poolgate_cluster (
    key text PRIMARY KEY, epoch bigint NOT NULL, seq bigint NOT NULL, body text NOT NULL, written timestamptz NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)";

/// The cluster's rows in the table `poolgate_cluster` of a PostgreSQL database, and one connection to it.
#[derive(Debug)]
pub struct PostgresStore {
    options: PgConnectOptions,
    prefix: String,
    connection: Option<PgConnection>,
    is_created: bool,
}

/// What a statement answers.
#[derive(Deserialize)]
struct Answer {
    rows: Vec<Row>,
    ledger: Option<Ledger>,
    config: Option<ThrottlingConfig>,
}

impl PostgresStore {
    /// A store in the database that `options` lead to. Connects with the first exchange.
    ///
    /// `prefix` is the first part of the `application_name` of all connections of all replicas, pools included; the
    /// second part, after a colon, is the replica's id. Letters, digits, `-`, `_` and `.`.
    pub fn new(options: PgConnectOptions, prefix: &str, id: ReplicaId) -> Self {
        let options = options
            .application_name(&format!("{prefix}:{id}"))
            .extra_float_digits(None)
            .statement_cache_capacity(0)
            .disable_statement_logging();
        Self { options, prefix: prefix.to_owned(), connection: None, is_created: false }
    }

    /// Runs a statement that returns one text. The connection is kept if the server answers. If the future is dropped, the
    /// state of the connection is unknown, and it is closed.
    async fn ask(&mut self, statement: String) -> Result<String, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        if !self.is_created {
            self.create(&mut connection).await?;
            self.is_created = true;
        }
        let answer = sqlx::raw_sql(AssertSqlSafe(statement)).fetch_one(&mut connection).await;
        if answer.as_ref().err().is_none_or(leaves_the_session) {
            self.connection = Some(connection);
        }
        Ok(answer?.try_get(0)?)
    }

    async fn create(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let present: bool = sqlx::raw_sql("SELECT to_regclass('poolgate_cluster') IS NOT NULL")
            .fetch_one(&mut *connection)
            .await?
            .try_get(0)?;
        if !present {
            // Two replicas may do so at the same time, and then one of them fails and tries again.
            sqlx::raw_sql(CREATE).execute(connection).await?;
        }
        Ok(())
    }
}

impl Store for PostgresStore {
    async fn exchange(&mut self, write: &Exchange) -> Result<Seen, StoreError> {
        let answer = self.ask(statement(write)?).await;
        if answer.is_err() {
            // The table may be gone.
            self.is_created = false;
        }
        let Answer { rows, ledger, config } = serde_json::from_str(&answer?)?;
        Ok(Seen { rows, ledger, config })
    }

    async fn census(&mut self) -> Result<Census, StoreError> {
        let statement = format!(
            "SELECT coalesce(json_object_agg(application_name, connections), '{{}}')::text FROM (
                 SELECT application_name, count(*) AS connections FROM pg_stat_activity
                 WHERE backend_type = 'client backend' AND application_name LIKE {} GROUP BY 1) AS named",
            quoted(&format!("{}:%", self.prefix.replace('_', "\\_")))
        );
        let named: BTreeMap<String, u32> = serde_json::from_str(&self.ask(statement).await?)?;
        let id = |name: &str| name.get(self.prefix.len() + 1..)?.parse::<ReplicaId>().ok();
        Ok(named.into_iter().filter_map(|(name, connections)| Some((id(&name)?, connections))).collect())
    }

    async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // It is not needed any more, so an error does not matter.
            let _ = connection.close().await;
        }
    }
}

/// Whether the session goes on after this error: the server has refused the statement, and is not shutting down.
fn leaves_the_session(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| !["08", "53", "57"].iter().any(|class| code.starts_with(class)))
}

/// One statement that writes the row, the ledger if its predecessor is still there, and the config if it is newer, and
/// reads everything as it was before, except that a config that was written is read back.
fn statement(write: &Exchange) -> Result<String, StoreError> {
    let row = &write.row;
    let mut parts = vec![
        format!(
            "forgotten AS (DELETE FROM poolgate_cluster
                 WHERE key LIKE 'row:%' AND key <> 'row:{}' AND written < now() - interval '{FORGOTTEN}'
                     AND {} % 60 = 1)",
            row.id, row.seq
        ),
        upsert("own", &format!("row:{}", row.id), 0, row.seq, &serde_json::to_string(row)?),
    ];
    if let Some(ledger) = &write.ledger {
        let (revision, body) = (ledger.revision, quoted(&serde_json::to_string(ledger)?));
        parts.push(if write.is_first {
            format!(
                "divided AS (INSERT INTO poolgate_cluster (key, epoch, seq, body, written)
                     VALUES ('ledger', 0, {revision}, {body}, now()) ON CONFLICT (key) DO NOTHING)"
            )
        } else {
            format!(
                "divided AS (UPDATE poolgate_cluster SET seq = {revision}, body = {body}, written = now()
                     WHERE key = 'ledger' AND seq = {})",
                revision.saturating_sub(1)
            )
        });
    }
    let mut config_in_force = "(SELECT body::json FROM poolgate_cluster WHERE key = 'config')".to_owned();
    if let Some(config) = &write.config {
        parts.push(upsert("published", "config", config.epoch, config.version, &serde_json::to_string(config)?));
        config_in_force = format!("coalesce((SELECT body::json FROM published), {config_in_force})");
    }
    Ok(format!(
        "WITH {} SELECT json_build_object(
             'rows', (SELECT coalesce(json_agg(body::json), '[]') FROM poolgate_cluster
                      WHERE key LIKE 'row:%' AND written > now() - interval '{FORGOTTEN}'),
             'ledger', (SELECT body::json FROM poolgate_cluster WHERE key = 'ledger'),
             'config', {config_in_force})::text",
        parts.join(", ")
    ))
}

/// Writes this body under this key unless a newer one is there.
fn upsert(name: &str, key: &str, epoch: u64, seq: u64, body: &str) -> String {
    format!(
        "{name} AS (INSERT INTO poolgate_cluster AS present (key, epoch, seq, body, written)
             VALUES ({}, {epoch}, {seq}, {}, now())
             ON CONFLICT (key) DO UPDATE
             SET epoch = excluded.epoch, seq = excluded.seq, body = excluded.body, written = now()
             WHERE (present.epoch, present.seq) < (excluded.epoch, excluded.seq) RETURNING body)",
        quoted(key),
        quoted(body)
    )
}

/// A text as an SQL literal, for every value of `standard_conforming_strings`.
fn quoted(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rate_is_read_as_it_was_written() {
        let mut rng = poolgate_types::rng::Rng::new(7);
        for _ in 0..10_000 {
            let rate = rng.between(0.001, 100.0);
            let text = serde_json::to_string(&rate).expect("a number");
            assert_eq!(serde_json::from_str::<f64>(&text).ok(), Some(rate), "{text}");
        }
    }

    #[test]
    fn a_literal_ends_where_it_should() {
        assert_eq!(quoted(r"a'b\'c"), r"E'a''b\\''c'");
    }
}
