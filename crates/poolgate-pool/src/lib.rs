//! A database connection pool that can always say what it is doing: SQLAlchemy's QueuePool semantics over
//! [sqlx](https://docs.rs/sqlx) connections, for PostgreSQL, SQLite and `sqlx::Any`.
//!
//! It is not a query layer (sqlx is), not a server-side pooler such as PgBouncer, and it sheds no load: callers wait in
//! turn, up to a limit. Who may come at all is for a gate in front of it to decide.
//!
//! ```
//! use poolgate_pool::{PoolConfig, Pool, sqlite_options};
//! use sqlx::{Executor, Sqlite};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let folder = tempfile::tempdir()?;
//! let pool = Pool::<Sqlite>::builder(sqlite_options(folder.path().join("shop.db")))
//!     .config(PoolConfig { size: 5, max_overflow: 2, ..PoolConfig::default() })
//!     .build()?;
//!
//! let mut lease = pool.acquire().await?;
//! lease.execute("CREATE TABLE orders (total INTEGER)").await?;
//!
//! let mut transaction = lease.begin_with("BEGIN IMMEDIATE").await?;
//! sqlx::query("INSERT INTO orders VALUES ($1)").bind(42).execute(&mut transaction).await?;
//! transaction.commit().await?;
//!
//! let total: i64 = sqlx::query_scalar("SELECT total FROM orders").fetch_one(&mut lease).await?;
//! assert_eq!(total, 42);
//!
//! assert_eq!((pool.counts().checked_out, pool.counts().idle), (1, 0));
//! drop(lease);
//! assert_eq!((pool.counts().checked_out, pool.counts().idle), (0, 1));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Rules
//!
//! 1. **Size.** Up to [`size`](PoolConfig::size) connections are kept, up to `size + max_overflow` exist. "Overflow" is
//!    no property of a connection: one that comes back is kept unless `size` are idle already.
//! 2. **Never more.** Connections that are open, being opened, verified or closed count alike, so the capacity holds
//!    across [`dispose`](Pool::dispose), cancelled callers and dead peers. A place is free again when the
//!    socket is closed, or was dropped after [`close_timeout`](PoolConfig::close_timeout).
//! 3. **In turn.** A returned or new connection goes to the caller who has waited longest.
//! 4. **Nothing is wasted.** Connections are opened in tasks of their own, at most
//!    [`max_connecting`](PoolConfig::max_connecting) at once and [`connect_rate`](PoolConfig::connect_rate) a second,
//!    [`min_idle`](PoolConfig::min_idle) of them before anyone asks.
//!    When the caller gives up, the connect goes on and serves the next one. This is why a short `timeout` around
//!    `acquire` causes no storm of connects here.
//! 5. **Nothing is handed on dirty.** See below.
//! 6. **Every wait ends.** Acquiring, connecting, pinging, putting right and closing have a limit each, in
//!    [`PoolConfig`]. Errors say which limit it was and who held the connections ([`AcquireError`]).
//! 7. **A database that is away is not stormed.** After a failed connect no other is begun for a random part of 50 ms,
//!    growing to 1 s, and then one alone; a server that is full is left alone for 0.5 s at least, growing to 5 s, one that
//!    refuses the login for as long, growing to 30 s.
//!    Callers who have nothing else to wait for get the error at once.
//!
//! # What comes back, and in what condition
//!
//! - Queries on `&mut lease` have ended, a transaction was committed or rolled back, and nothing that was run leaves
//!   something in the session: idle at once, no round trip.
//! - A query or a stream of rows was dropped half-way, a [`Transaction`] was dropped, a raw `BEGIN` lacks its end, the
//!   database reported an error: checked in the background.
//! - A statement left something in the session, as its text shows or does not rule out (`SET`, a call of the app's own
//!   function, `CREATE TEMP TABLE`); or something was done on `&mut *lease`, the sqlx connection itself, where it is not
//!   seen: the session is [reset](PoolConfig::reset) in the background, SQLite's connection replaced.
//! - The database said that what sqlx has prepared does not fit any more, as after a migration: it is forgotten, before
//!   the next query of the same lease even.
//! - The database refused to write: it is asked whether it is a primary still, and the connection closed if not.
//! - An I/O or protocol error, [`discard`](Lease::discard): closed.
//!
//! The check rolls back whatever is open, within [`verify_timeout`](PoolConfig::verify_timeout); a connection that
//! cannot be put right is closed. A query that was cut short goes on in the server until it ends or notices (sqlx has
//! no way to cancel it): on PostgreSQL set [`statement_timeout`](PostgresSession::statement_timeout) and
//! [`client_check_interval`](PostgresSession::client_check_interval).
//!
//! A connection that was idle for more than [`pre_ping_idle`](PoolConfig::pre_ping_idle), or while another one broke,
//! is pinged before it is handed out.
//!
//! # Watching
//!
//! [`counts`](Pool::counts) and [`leases`](Pool::leases) read the state under one lock and cost
//! nothing else. Each lease is known by its age, the line that acquired it and its task's [`Purpose`]. An [`Observer`]
//! is told of waits, uses and connects as they end; [`contact`](Pool::contact) says what the connects know about
//! the database.
//!
//! # Taking a lease back
//!
//! [`revoke`](Pool::revoke) takes a lease away from a holder who has had it for too long: the next use fails with
//! [`Revoked`], and the connection is closed when it comes back. If it never does, end its session on the server and
//! [`write_off`](Pool::write_off) the lease: its place is free at once.
//!
//! # PostgreSQL
//!
//! [`Builder::postgres`] names the connections for `pg_stat_activity`, sets the server's own timeouts, and learns which
//! server process serves each lease; behind a PgBouncer in transaction mode it keeps queries and sessions together.
//!
//! ```
//! use std::time::Duration;
//! use poolgate_pool::{Pool, PostgresSession};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = Pool::<sqlx::Postgres>::builder("postgres://app@db/shop".parse()?)
//!     .postgres(PostgresSession {
//!         application_name: Some(format!("shop:{}", std::process::id())),
//!         idle_in_transaction_timeout: Some(Duration::from_secs(60)),
//!         ..PostgresSession::default()
//!     })
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Notes
//!
//! - `acquire` needs a tokio runtime with time enabled; a [`Lease`] may be dropped anywhere.
//! - Before the first use of `sqlx::Any` call `sqlx::any::install_default_drivers()`; sqlx panics otherwise, which
//!   callers see as [`AcquireError::Connect`].
//! - An app that uses sqlx's `macros` feature turns on this crate's feature of that name, too.

mod acquire;
mod address;
mod backend;
mod backoff;
mod bouncer;
mod builder;
mod condition;
mod config;
mod connect;
mod counts;
mod error;
mod executor;
mod hooks;
mod janitor;
mod lease;
mod observer;
mod pace;
mod pool;
mod purpose;
mod remedy;
mod renewal;
mod reset;
mod revoked;
mod session;
mod sqlite;
mod state;
mod statement;
mod transaction;
mod work;

pub use address::{InvalidAddress, any_options, postgres_options};
pub use backend::Backend;
pub use builder::{Builder, ConnectOptions};
pub use config::{InvalidConfig, Order, PoolConfig, Reset};
pub use counts::{Contact, Counts, Drained, LeaseInfo};
pub use error::{AcquireError, Diagnosis};
pub use hooks::ConnectionTimes;
pub use lease::Lease;
pub use observer::{CloseReason, Observer};
pub use pool::Pool;
pub use purpose::Purpose;
pub use revoked::Revoked;
pub use session::PostgresSession;
pub use sqlite::{sqlite_defaults, sqlite_options, sqlite_read_options};
pub use transaction::Transaction;
pub use work::{Work, WriteTrouble};
