//! PostgreSQL itself, as `pg_stat_activity` shows it.

use std::time::Duration;

use futures_core::future::BoxFuture;
use poolgate_pool::{ConnectHistory, Drained};
use poolgate_types::Backend;
use sqlx::{PgConnection, Postgres, postgres::PgConnectOptions};

use super::{
    BlindSpot, BoxError, Dedicated, DedicatedConnection, Figures, Visibility, WatchedPool,
    reader::{SourceReader, number},
    record::Trouble,
};

/// Time between two readings; each costs the server some work per session.
const INTERVAL: Duration = Duration::from_secs(1);

/// The sessions of this database, and its slots: the smaller of the database's own limit and the server's limit without
/// reserved slots and the sessions of other databases.
///
/// A role without `pg_read_all_stats` sees sessions of other roles, but not their state.
const SESSIONS: &str = "
    SELECT s.busy::text, s.idle::text, s.hidden::text, s.oldest::text,
           (SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datid = d.oid)::text AS transactions,
           least(nullif(d.datconnlimit, -1),
                 current_setting('max_connections')::int
                   - current_setting('superuser_reserved_connections')::int
                   - coalesce(current_setting('reserved_connections', true)::int, 0)
                   - (SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database WHERE datname <> d.datname)
                )::text AS slots
    FROM pg_database d,
         (SELECT count(*) FILTER (WHERE state NOT IN ('idle', 'disabled')) AS busy,
                 count(*) FILTER (WHERE state = 'idle') AS idle,
                 count(*) FILTER (WHERE state IS NULL OR state = 'disabled') AS hidden,
                 (extract(epoch FROM max(clock_timestamp() - xact_start) FILTER (WHERE state <> 'idle')) * 1000)::bigint
                   AS oldest
          FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND coalesce(backend_type, 'client backend') = 'client backend'
                AND application_name <> 'poolgate-watch'
                AND ($1::text IS NULL OR starts_with(application_name, $1))) s
    WHERE d.datname = current_database()";

/// Watches a PostgreSQL server: the sessions of one database.
///
/// The server shows how many sessions are busy, but not how many requests wait in the apps. So only the fixed policy works:
/// the level follows the busy share of the capacity. Set [`capacity`](Self::capacity) to the total size of the apps' pools;
/// by default it is the number of connections that the server accepts.
#[derive(Debug)]
pub struct PostgresServer {
    reader: SourceReader,
    application: Option<String>,
    capacity: Option<u32>,
}

impl PostgresServer {
    /// Watches the database at this address on one connection that is kept open. The role needs `pg_monitor` to see the sessions
    /// of others. Nothing happens before it is read.
    pub fn new(options: PgConnectOptions) -> Self {
        Self { reader: SourceReader::new(options, INTERVAL, advice), application: None, capacity: None }
    }

    /// Watches only sessions whose `application_name` starts with `name`. Default: all sessions of the database.
    #[must_use]
    pub fn application(mut self, name: impl Into<String>) -> Self {
        self.application = Some(name.into());
        self
    }

    /// The most sessions that can be busy at the same time: the total size of the apps' pools. Default: the connections
    /// that the server accepts.
    #[must_use]
    pub fn capacity(mut self, sessions: u32) -> Self {
        self.capacity = Some(sessions);
        self
    }

    async fn look(&self, mut connection: PgConnection) -> Result<PgConnection, Trouble> {
        // Not kept prepared: it is the connection's only statement, and rarely run.
        let query = sqlx::query(SESSIONS).bind(&self.application).persistent(false);
        let row = query.fetch_one(&mut connection).await?;
        let count = |column| number(&row, &[column]).and_then(|count| u32::try_from(count).ok());
        let hidden = count("hidden").unwrap_or_default();
        self.reader.record.misses((hidden > 0).then(|| {
            format!(
                "the state of other roles' sessions is hidden, so those at work are not counted: GRANT pg_monitor TO \
                 \"{}\" (or track_activities is off)",
                self.reader.user()
            )
        }));
        let capacity = self.capacity.or(count("slots")).unwrap_or_default();
        self.reader.record.shows(Figures {
            pool_size: capacity,
            capacity,
            checked_out: count("busy").unwrap_or_default(),
            idle: count("idle").unwrap_or_default(),
            // The server counts a transaction with a delay of up to some seconds, and those of this reader too.
            transactions: number(&row, &["transactions"]),
            oldest_checkout: number(&row, &["oldest"]).map(Duration::from_millis),
            ..Figures::default()
        });
        Ok(connection)
    }
}

impl WatchedPool for PostgresServer {
    fn backend(&self) -> Option<Backend> {
        Some(Backend::Postgres)
    }

    fn figures(&self) -> Figures {
        self.reader.record.figures()
    }

    fn connect_history(&self) -> ConnectHistory {
        self.reader.record.contact()
    }

    fn dedicated_connection(&self, timeout: Duration) -> BoxFuture<'_, Result<Box<dyn DedicatedConnection>, BoxError>> {
        Box::pin(async move { Ok(Dedicated::<Postgres>::boxed(self.reader.dedicated_connection(timeout).await?)) })
    }

    fn drain(&self, deadline: Duration) -> BoxFuture<'_, Drained> {
        Box::pin(self.reader.drain(deadline))
    }

    fn refresh(&self) -> Option<BoxFuture<'_, ()>> {
        Some(Box::pin(self.reader.read(|connection| self.look(connection))))
    }

    fn visibility(&self) -> Visibility {
        Visibility::Hidden
    }

    fn blind_spot(&self) -> Option<BlindSpot> {
        self.reader.record.blind_spot()
    }
}

fn advice(error: &sqlx::Error, options: &PgConnectOptions) -> Option<String> {
    let error = error.as_database_error()?;
    if error.message().contains("unsupported startup parameter") {
        return Some("This is a PgBouncer: watch its console with pgbouncer://…".to_owned());
    }
    let user = options.get_username();
    match error.code().as_deref() {
        Some("53300") => Some(format!(
            "The server is full: from PostgreSQL 16 on, GRANT pg_use_reserved_connections TO \"{user}\" reserves a slot"
        )),
        Some("28000" | "28P01") => Some(format!("Check the user `{user}`, its password and pg_hba.conf")),
        Some("3D000") => Some("Name a database that exists: postgres://…/DATABASE".to_owned()),
        _ => None,
    }
}
