//! A database connection pool with exact accounting: SQLAlchemy's QueuePool semantics over
//! [sqlx](https://docs.rs/sqlx) connections, for PostgreSQL, SQLite and `sqlx::Any`.
//!
//! It is neither a query layer (sqlx is) nor a server-side pooler such as PgBouncer, and it sheds no load: callers wait in
//! turn, up to a limit. A gate in front of it decides which requests may come at all.
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
//! 1. **Size.** Up to [`size`](PoolConfig::size) connections stay open when idle; up to `size + max_overflow` may exist.
//!    "Overflow" is not a property of a connection: a returned connection is kept unless `size` are idle already.
//! 2. **Never more.** Connections that are open, being opened, verified or closed all count, so the capacity holds across
//!    [`dispose`](Pool::dispose), cancelled callers and dead peers. A slot is free again when the socket is closed, or
//!    dropped after [`close_timeout`](PoolConfig::close_timeout).
//! 3. **In turn.** A returned or new connection goes to the caller that has waited longest.
//! 4. **No connect is wasted.** Connections are opened in tasks of their own, at most
//!    [`max_connecting`](PoolConfig::max_connecting) at once and [`connect_rate`](PoolConfig::connect_rate) per second;
//!    [`min_idle`](PoolConfig::min_idle) of them ahead of demand. If the caller leaves, the connect continues and serves
//!    the next one. So a short `timeout` around `acquire` does not flood the server with connects.
//! 5. **No user gets a dirty connection.** See below.
//! 6. **Every wait ends.** Acquiring, connecting, pinging, restoring and closing each have a limit in [`PoolConfig`].
//!    Errors say which limit was hit and which code held the connections ([`AcquireError`]).
//! 7. **A database that is down is not flooded.** After a failed connect the pool pauses for a random part of 50 ms,
//!    growing to 1 s, and then tries a single connect. The pause is at least 0.5 s, growing to 5 s, if the server is full,
//!    and growing to 30 s if it refuses the login. Callers that have no other connection to wait for get the error at once.
//!
//! # Returned connections
//!
//! - All queries on `&mut lease` have ended, every transaction was committed or rolled back, and no statement changed the
//!   session: idle at once, no round trip.
//! - A query or a stream of rows was dropped half-way, a [`Transaction`] was dropped, a raw `BEGIN` was not ended, the
//!   database reported an error: rolled back in the background.
//! - A statement changed the session, or its text does not rule that out (`SET`, a call of the app's own function,
//!   `CREATE TEMP TABLE`); or `&mut *lease`, the sqlx connection, was used, which the lease cannot see: the session is
//!   [reset](PoolConfig::reset) in the background. A SQLite connection is replaced.
//! - The database rejected prepared statements as outdated, for example after a migration: they are discarded, even before
//!   the next query of the same lease.
//! - The database refused a write: it is asked whether it still is a primary. If not, the connection is closed.
//! - An I/O or protocol error, [`discard`](Lease::discard): closed.
//!
//! Restoring takes at most [`verify_timeout`](PoolConfig::verify_timeout); a connection that cannot be restored is closed.
//! A query that was cut short continues in the server until it ends or the server notices (sqlx cannot cancel it): on
//! PostgreSQL set [`statement_timeout`](PostgresSession::statement_timeout) and
//! [`client_check_interval`](PostgresSession::client_check_interval).
//!
//! A connection is pinged before it is handed out if it was idle for longer than
//! [`pre_ping_idle`](PoolConfig::pre_ping_idle), or if another one has failed since its last use.
//!
//! # Monitoring
//!
//! [`counts`](Pool::counts) and [`leases`](Pool::leases) read the state under one lock, without any I/O. Each lease shows
//! its age, the line of code that acquired it and its task's [`Purpose`]. An [`Observer`] receives waits, uses and connects
//! as they end. [`connect_history`](Pool::connect_history) shows how recent connects went.
//!
//! # Taking a lease back
//!
//! [`revoke`](Pool::revoke) takes a lease away from a holder that has kept it for too long: the next use fails with
//! [`Revoked`], and the connection is closed when it is returned. If it is never returned, end its session on the server
//! and [`reclaim`](Pool::reclaim) the lease: its slot is free at once.
//!
//! A firewall that forgets a connection, or a server that is gone without a word, leaves a holder waiting for an answer that
//! never comes. [`LeaseInfo::waits`] shows who waits. If the server says that it has nothing to answer,
//! [`lose`](Pool::lose) ends the wait with [`Lost`].
//!
//! # PostgreSQL
//!
//! [`Builder::postgres`] names the sessions for `pg_stat_activity`, sets the server's own timeouts, and looks up which
//! server process serves each lease. Behind a PgBouncer in transaction mode it keeps each query in one session.
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
//! - `acquire` needs a tokio runtime with time enabled. A [`Lease`] may be dropped anywhere.
//! - Call `sqlx::any::install_default_drivers()` before the first use of `sqlx::Any`. Otherwise sqlx panics, and callers get
//!   [`AcquireError::Connect`].
//! - An app that uses sqlx's `macros` feature must enable this crate's feature of the same name.

mod acquire;
mod builder;
mod config;
mod connect;
mod counts;
mod database;
mod dedicated;
mod drain;
mod error;
mod hooks;
mod lease;
mod observer;
mod pool;
mod purpose;
mod random;
mod restore;
mod shared;
mod state;
mod statement;
mod tasks;
mod work;

pub use builder::Builder;
pub use config::{ConnectOptions, InvalidPoolConfig, Order, PoolConfig, Reset};
pub use counts::{ConnectHistory, Counts, Drained, LeaseInfo};
pub use database::{
    Backend, InvalidAddress, PostgresSession, any_options, postgres_options, sqlite_defaults, sqlite_options,
    sqlite_read_options,
};
pub use error::{AcquireError, Diagnosis};
pub use hooks::ConnectionMetadata;
pub use lease::{Lease, Lost, Revoked, Transaction};
pub use observer::{CloseReason, Observer};
pub use pool::Pool;
pub use purpose::Purpose;
pub use work::{Work, WriteTrouble};
