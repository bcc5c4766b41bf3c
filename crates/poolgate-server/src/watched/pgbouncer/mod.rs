//! PgBouncer, watched on its admin console.

mod capacity;
mod console;

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_core::future::BoxFuture;
use poolgate_pool::{ConnectHistory, Drained};
use poolgate_types::Backend;
use sqlx::{Connection, PgConnection, Row, postgres::PgConnectOptions, raw_sql};

use self::{capacity::UserLimits, console::Reading};
use super::{
    BlindSpot, BoxError, DedicatedConnection, Figures, Traffic, Visibility, WatchedPool, reader::SourceReader,
    record::Trouble,
};

/// If clients wait, and no server connection serves one of them for this long, the database behind PgBouncer is gone, unless
/// it is paused. It is back when PgBouncer has a connection to it: that no client waits is no proof, because few come then.
const STUCK: Duration = Duration::from_secs(2);
/// After this time without a waiting client nothing is known: before the database counts as gone, and after it.
const FORGOTTEN: Duration = Duration::from_secs(5);
const GIVEN_UP: Duration = Duration::from_secs(60);

/// Time between two looks at the limits of the users, of which there may be thousands.
const USERS_INTERVAL: Duration = Duration::from_secs(5);

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
    users: Mutex<Users>,
}

/// The limits of the users that have any.
#[derive(Clone, Debug, Default)]
struct Users {
    limits: HashMap<String, UserLimits>,
    read: Option<Instant>,
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
    stuck: Option<Stuck>,
}

/// Clients wait for a database that serves none of them.
#[derive(Clone, Copy, Debug)]
struct Stuck {
    since: Instant,
    /// When a client was last seen to wait.
    newest: Instant,
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
            users: Mutex::default(),
        }
    }

    /// The most server connections that can be busy at the same time. Default: as many as PgBouncer may open, which is the
    /// pool size plus reserve of every user's pool in use, up to `max_db_connections` and, from PgBouncer 1.24 on, the users' own
    /// limits.
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
        let users = self.user_limits(&mut connection).await?;
        self.take(console::read(&mut connection, self.database.as_deref(), users).await?)?;
        Ok(connection)
    }

    async fn user_limits(&self, connection: &mut PgConnection) -> Result<HashMap<String, UserLimits>, Trouble> {
        let known = self.users.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.read.is_some_and(|read| read.elapsed() < USERS_INTERVAL) {
            return Ok(known.limits);
        }
        let limits = console::read_users(connection).await?;
        let users = Users { limits: limits.clone(), read: Some(Instant::now()) };
        *self.users.lock().unwrap_or_else(PoisonError::into_inner) = users;
        Ok(limits)
    }

    /// Processes a reading; an error if it shows that the database is gone.
    fn take(&self, reading: Reading) -> Result<(), Trouble> {
        self.reader.record.misses(self.missing(&reading));
        let mut seen = self.seen();
        if self.reader.record.has_failed() {
            // What came meanwhile did not come in this moment.
            seen.previous = None;
        }
        let capacity = self.capacity.unwrap_or(reading.capacity);
        self.reader.record.shows(Figures {
            pool_size: reading.pool_size.min(capacity),
            max_overflow: capacity.saturating_sub(reading.pool_size),
            capacity,
            checked_out: reading.in_use + reading.busy,
            idle: reading.idle,
            connecting: reading.connecting,
            waiting: Some(reading.waiting),
            transactions: Some(reading.arrived),
            ..Figures::default()
        });
        seen.count(&reading, self.transactions_per_request);
        let is_lost = seen.is_lost(&reading, Instant::now());
        seen.paused = reading.paused;
        seen.previous = Some(reading);
        if is_lost {
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
    /// Whether the database behind PgBouncer is gone.
    fn is_lost(&mut self, reading: &Reading, now: Instant) -> bool {
        let serves = reading.in_use > 0 || (reading.idle > 0 && reading.waiting == 0);
        if serves || reading.paused {
            self.stuck = None;
            return false;
        }
        if reading.is_stuck() {
            self.stuck.get_or_insert(Stuck { since: now, newest: now }).newest = now;
        }
        let is_lost = |stuck: &Stuck| stuck.newest.duration_since(stuck.since) >= STUCK;
        let memory = |stuck: &Stuck| if is_lost(stuck) { GIVEN_UP } else { FORGOTTEN };
        self.stuck = self.stuck.filter(|stuck| now.duration_since(stuck.newest) < memory(stuck));
        self.stuck.as_ref().is_some_and(is_lost)
    }

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
            rejected: 0,
        });
    }
}

impl WatchedPool for PgBouncer {
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
        Visibility::Shown(if self.reader.record.has_failed() { None } else { self.seen().traffic })
    }

    fn blind_spot(&self) -> Option<BlindSpot> {
        self.reader.record.blind_spot()
    }

    fn is_paused(&self) -> bool {
        !self.reader.record.has_failed() && self.seen().paused
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
