//! One connection to the database, under the replica's name.

use std::collections::BTreeMap;

use poolgate_control::cluster::{Census, ReplicaId};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row as _, postgres::PgConnectOptions};

use crate::store::StoreError;

/// A connection that stays open. The database shows it under the name of its replica.
#[derive(Debug)]
pub(crate) struct Database {
    options: PgConnectOptions,
    prefix: String,
    connection: Option<PgConnection>,
}

impl Database {
    /// Connects with the first statement. Statements go by the simple protocol, so a PgBouncer in transaction mode may be in
    /// between.
    pub(crate) fn new(options: PgConnectOptions, prefix: &str, id: ReplicaId) -> Self {
        let options = options
            .application_name(&format!("{prefix}:{id}"))
            .extra_float_digits(None)
            .statement_cache_capacity(0)
            .disable_statement_logging();
        Self { options, prefix: prefix.to_owned(), connection: None }
    }

    /// Runs a statement that returns one text.
    pub(crate) async fn ask(&mut self, statement: String) -> Result<String, StoreError> {
        let mut connection = self.take().await?;
        let answer = sqlx::raw_sql(AssertSqlSafe(statement)).fetch_one(&mut connection).await;
        Ok(self.keep(connection, answer)?.try_get(0)?)
    }

    /// Runs a statement that returns nothing.
    pub(crate) async fn run(&mut self, statement: &'static str) -> Result<(), StoreError> {
        let mut connection = self.take().await?;
        let answer = sqlx::raw_sql(statement).execute(&mut connection).await;
        self.keep(connection, answer).map(drop)
    }

    /// The connections of all replicas.
    pub(crate) async fn census(&mut self) -> Result<Census, StoreError> {
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

    pub(crate) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // It is not needed any more, so an error does not matter.
            let _ = connection.close().await;
        }
    }

    /// Until it is kept again it belongs to the statement. If the future is dropped, its state is unknown, and it is closed.
    async fn take(&mut self) -> Result<PgConnection, StoreError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => Ok(self.options.connect().await?),
        }
    }

    /// Keeps the connection if the server has answered.
    fn keep<T>(&mut self, connection: PgConnection, answer: sqlx::Result<T>) -> Result<T, StoreError> {
        if answer.as_ref().err().is_none_or(leaves_the_session) {
            self.connection = Some(connection);
        }
        Ok(answer?)
    }
}

/// Whether the session goes on after this error: the server has refused the statement, and is not shutting down.
fn leaves_the_session(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| !["08", "53", "57"].iter().any(|class| code.starts_with(class)))
}

/// A text as an SQL literal, for every value of `standard_conforming_strings`.
pub(crate) fn quoted(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_ends_where_it_should() {
        assert_eq!(quoted(r"a'b\'c"), r"E'a''b\\''c'");
    }
}
