//! PgBouncer, watched on its admin console.

mod console;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_core::future::BoxFuture;
use poolgate_pool::{ConnectHistory, Drained};
use poolgate_types::Backend;
use sqlx::{Connection, PgConnection, Row, postgres::PgConnectOptions, raw_sql};

use self::console::Reading;
use super::{
    BlindSpot, BoxError, DedicatedConnection, Figures, Traffic, Visibility, WatchedPool,
    reader::{SourceReader, Trouble},
};

/// If clients wait for this long, no server connection is in use and PgBouncer is not paused, its database is gone.
const STUCK: Duration = Duration::from_secs(2);

/// Watches the pools of a PgBouncer on its console.
///
/// The console shows all inputs of the fair rate: the limit of server connections, those in use, the waiting clients and
/// the number of transactions. PgBouncer must run in transaction or statement mode. In session mode connections wait
/// instead of requests, and Poolgate only publishes the figures.
#[derive(Debug)]
pub struct PgBouncer {
    reader: SourceReader,
    database: Option<String>,
    capacity: Option<u32>,
    transactions_per_request: f64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// `None` in session mode, where waiting clients are not requests.
    traffic: Option<Traffic>,
    /// The exact totals, which `traffic` has rounded.
    arrivals: f64,
    served: f64,
    completed: u64,
    previous: Option<Reading>,
    paused: bool,
    stuck_since: Option<Instant>,
}

impl PgBouncer {
    /// Watches the PgBouncer at this address: the pools of the named database, or all pools. The user must be listed in its
    /// `stats_users` or `admin_users`. Does not connect yet.
    pub fn new(options: PgConnectOptions) -> Self {
        let database = options.get_database().filter(|name| !name.is_empty()).map(str::to_owned);
        // PgBouncer refuses unknown start-up parameters.
        let options = options.database("pgbouncer").extra_float_digits(None).statement_cache_capacity(0);
        Self {
            reader: SourceReader::new(options, Duration::ZERO, advice),
            database,
            capacity: None,
            transactions_per_request: 1.0,
            seen: Mutex::default(),
        }
    }

    /// The most server connections that can be busy at the same time. Default: as many as PgBouncer may open, which is the
    /// pool size plus reserve of every user's pool in use, up to `max_db_connections`.
    #[must_use]
    pub fn capacity(mut self, connections: u32) -> Self {
        self.capacity = Some(connections);
        self
    }

    /// The average number of transactions per browser request, above 0. Default 1. PgBouncer counts transactions, and the
    /// fair rate is in requests.
    #[must_use]
    pub fn transactions_per_request(mut self, transactions: f64) -> Self {
        self.transactions_per_request = if transactions > 0.0 { transactions } else { 1.0 };
        self
    }

    async fn look(&self, mut connection: PgConnection) -> Result<PgConnection, Trouble> {
        self.take(console::read(&mut connection, self.database.as_deref()).await?)?;
        Ok(connection)
    }

    /// Processes a reading; an error if it shows that the database is gone.
    fn take(&self, reading: Reading) -> Result<(), Trouble> {
        self.reader.misses(self.missing(&reading));
        let mut seen = self.seen();
        if self.reader.has_failed() {
            // What came meanwhile did not come in this moment.
            seen.previous = None;
        }
        let capacity = self.capacity.unwrap_or(reading.capacity);
        self.reader.shows(Figures {
            pool_size: reading.pool_size.min(capacity),
            max_overflow: capacity.saturating_sub(reading.pool_size),
            capacity,
            checked_out: reading.in_use + reading.busy,
            idle: reading.idle,
            connecting: reading.connecting,
            waiting: Some(reading.waiting),
            ..Figures::default()
        });
        seen.count(&reading, self.transactions_per_request);
        let stuck = reading.is_stuck() && !reading.paused;
        seen.paused = reading.paused;
        seen.previous = Some(reading);
        if !stuck {
            seen.stuck_since = None;
        } else if seen.stuck_since.get_or_insert_with(Instant::now).elapsed() >= STUCK {
            return Err(Trouble::Silent("clients wait, and PgBouncer has no connection to the database".to_owned()));
        }
        Ok(())
    }

    fn missing(&self, reading: &Reading) -> Option<String> {
        match &self.database {
            Some(name) if !reading.databases.contains(name) => {
                Some(format!("PgBouncer knows no database `{name}` (yet); it has: {}", reading.databases.join(", ")))
            }
            _ if reading.disabled => Some(
                "the database is disabled in PgBouncer, which refuses new clients: ENABLE it on the console".to_owned(),
            ),
            _ if reading.session_mode => Some(
                "pool_mode is session: connections wait, not requests, so no fair rate can be computed. \
                 Set pool_mode = transaction in PgBouncer, or policy = \"fixed\" here"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Adds the traffic since the previous reading.
    fn count(&mut self, reading: &Reading, transactions_per_request: f64) {
        if reading.session_mode {
            self.traffic = None;
            return;
        }
        // A smaller total means that PgBouncer was restarted.
        let previous = self.previous.as_ref().filter(|previous| previous.arrived <= reading.arrived);
        if let Some(previous) = previous {
            let inside = |reading: &Reading| f64::from(reading.in_use) + f64::from(reading.waiting);
            let arrived = (reading.arrived - previous.arrived) as f64;
            // A client that gave up waiting counts as served: PgBouncer does not distinguish the two.
            let served = arrived - (inside(reading) - inside(previous));
            self.arrivals += arrived / transactions_per_request;
            self.served += served / transactions_per_request;
        }
        // A client that arrives between the two commands of a reading seems to be served until the next reading.
        self.completed = self.completed.max(self.served as u64);
        self.traffic = Some(Traffic {
            in_use: reading.in_use,
            waiting: (f64::from(reading.waiting) / transactions_per_request).ceil() as u32,
            oldest_wait: reading.oldest_wait,
            completed: self.completed,
            arrivals: self.arrivals as u64,
        });
    }
}

impl WatchedPool for PgBouncer {
    fn backend(&self) -> Option<Backend> {
        Some(Backend::Postgres)
    }

    fn figures(&self) -> Figures {
        self.reader.figures()
    }

    fn connect_history(&self) -> ConnectHistory {
        self.reader.contact()
    }

    fn dedicated_connection(&self, timeout: Duration) -> BoxFuture<'_, Result<Box<dyn DedicatedConnection>, BoxError>> {
        Box::pin(async move {
            let connection = self.reader.dedicated_connection(timeout).await?;
            Ok(Box::new(Console(connection)) as Box<dyn DedicatedConnection>)
        })
    }

    fn drain(&self, deadline: Duration) -> BoxFuture<'_, Drained> {
        Box::pin(self.reader.drain(deadline))
    }

    fn refresh(&self) -> Option<BoxFuture<'_, ()>> {
        Some(Box::pin(self.reader.read(|connection| self.look(connection))))
    }

    fn visibility(&self) -> Visibility {
        Visibility::Shown(if self.reader.has_failed() { None } else { self.seen().traffic })
    }

    fn blind_spot(&self) -> Option<BlindSpot> {
        self.reader.blind_spot()
    }

    fn is_paused(&self) -> bool {
        !self.reader.has_failed() && self.seen().paused
    }
}

/// A connection to the console, which only supports the simple protocol: sqlx's ping would break the connection.
struct Console(PgConnection);

impl DedicatedConnection for Console {
    fn backend(&self) -> Backend {
        Backend::Postgres
    }

    fn ping(&mut self) -> BoxFuture<'_, sqlx::Result<()>> {
        Box::pin(async move { self.server_version().await.map(drop) })
    }

    fn server_version(&mut self) -> BoxFuture<'_, sqlx::Result<String>> {
        self.query_text("SHOW VERSION")
    }

    fn query_text(&mut self, query: &'static str) -> BoxFuture<'_, sqlx::Result<String>> {
        Box::pin(async move { raw_sql(query).fetch_one(&mut self.0).await?.try_get(0) })
    }

    fn query_text_with(&mut self, _query: &'static str, _argument: String) -> BoxFuture<'_, sqlx::Result<String>> {
        Box::pin(async { Err(sqlx::Error::Protocol("PgBouncer's console takes no arguments".to_owned())) })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // An error does not matter: the connection is no longer needed.
            let _ = self.0.close().await;
        })
    }
}

fn advice(error: &sqlx::Error, options: &PgConnectOptions) -> Option<String> {
    let error = error.as_database_error()?;
    let (message, user) = (error.message(), options.get_username());
    if error.code().as_deref() == Some("3D000") {
        Some("This is a PostgreSQL server, not a PgBouncer: watch it with postgres://…".to_owned())
    } else if message.contains("not allowed") {
        Some(format!("Add the user to PgBouncer's settings (stats_users = {user}), then RELOAD it"))
    } else if message.contains("authentication failed") || message.contains("no such user") {
        Some(format!("PgBouncer must know `{user}` and its password (auth_file), and list it in stats_users"))
    } else {
        None
    }
}
