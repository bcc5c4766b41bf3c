//! The store in a PostgreSQL database: one small table, one statement for each exchange.
//!
//! Rows stay small and are updated in place (HOT): only the primary key is indexed, and the fill factor leaves room on
//! each page. Only the database's own `now()` is written or compared.

use poolgate_control::cluster::{Census, Exchange, Ledger, ReplicaId, Row, Seen};
use poolgate_types::{ConfigVersion, ThrottlingConfig};
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;

use crate::{
    database::{Database, quoted},
    store::{Store, StoreError},
};

/// A row that was not written for this long is deleted. Its owner, if it still lives, writes it again.
const FORGOTTEN: &str = "10 minutes";

/// The fill factor leaves a page of 8 KiB room for about ten updates before it is cleaned in passing.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS poolgate_cluster (
    key text PRIMARY KEY, epoch bigint NOT NULL, seq bigint NOT NULL, body text NOT NULL, written timestamptz NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)";

/// The cluster's rows in the table `poolgate_cluster` of a PostgreSQL database, and one connection to it.
#[derive(Debug)]
pub struct PostgresStore {
    database: Database,
    /// Whether the replicas share connections.
    counts_connections: bool,
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
        Self { database: Database::new(options, prefix, id), counts_connections: true, is_created: false }
    }

    /// The same for replicas without pools, which share no connections.
    pub fn without_pools(self) -> Self {
        Self { counts_connections: false, ..self }
    }

    async fn ask(&mut self, statement: String) -> Result<String, StoreError> {
        if !self.is_created {
            let present = "SELECT (to_regclass('poolgate_cluster') IS NOT NULL)::text";
            if self.database.ask(present.to_owned()).await? == "false" {
                // Two replicas may do so at the same time, and then one of them fails and tries again.
                self.database.run(CREATE).await?;
            }
            self.is_created = true;
        }
        self.database.ask(statement).await
    }
}

impl Store for PostgresStore {
    const IN_DATABASE: bool = true;

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
        if !self.counts_connections {
            return Ok(Census::default());
        }
        self.database.census().await
    }

    async fn close(&mut self) {
        self.database.close().await;
    }
}

/// One statement that writes the row, the ledger if its predecessor is still there, and the config likewise, and reads everything as it was before, except that a config that was written is read back.
fn statement(write: &Exchange) -> Result<String, StoreError> {
    let row = &write.row;
    let mut parts = vec![
        format!(
            "forgotten AS (DELETE FROM poolgate_cluster
                 WHERE key LIKE 'row:%' AND key <> 'row:{}' AND written < now() - interval '{FORGOTTEN}'
                     AND {} % 60 = 1)",
            row.id, row.seq
        ),
        own(row)?,
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
        parts.push(published(config, write.replaces)?);
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

/// Writes a replica's row unless a newer one is there.
fn own(row: &Row) -> Result<String, StoreError> {
    Ok(format!(
        "own AS (INSERT INTO poolgate_cluster AS present (key, epoch, seq, body, written)
             VALUES ('row:{}', 0, {}, {}, now())
             ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, body = excluded.body, written = now()
             WHERE present.seq < excluded.seq)",
        row.id,
        row.seq,
        quoted(&serde_json::to_string(row)?)
    ))
}

/// Writes the config if the present one is this one.
fn published(config: &ThrottlingConfig, replaces: Option<ConfigVersion>) -> Result<String, StoreError> {
    let ConfigVersion { epoch, version } = config.at();
    let body = quoted(&serde_json::to_string(config)?);
    Ok(match replaces {
        None => format!(
            "published AS (INSERT INTO poolgate_cluster (key, epoch, seq, body, written)
                 VALUES ('config', {epoch}, {version}, {body}, now()) ON CONFLICT (key) DO NOTHING RETURNING body)"
        ),
        Some(present) => format!(
            "published AS (UPDATE poolgate_cluster
                 SET epoch = {epoch}, seq = {version}, body = {body}, written = now()
                 WHERE key = 'config' AND epoch = {} AND seq = {} RETURNING body)",
            present.epoch, present.version
        ),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_rate_is_read_as_it_was_written() {
        let mut rng = poolgate_types::rng::Rng::new(7);
        for _ in 0..10_000 {
            let rate = rng.between(0.001, 100.0);
            let text = serde_json::to_string(&rate).expect("a number");
            assert_eq!(serde_json::from_str::<f64>(&text).ok(), Some(rate), "{text}");
        }
    }
}
