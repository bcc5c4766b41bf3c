//! How large a pool may become and how long each of its waits may last.

use std::time::Duration;

use sqlx::Database;

/// How to reach the database `DB`: sqlx's own options, for [`Pool::builder`](crate::Pool::builder).
pub type ConnectOptions<DB> = <<DB as Database>::Connection as sqlx::Connection>::Options;

/// The pool's limits. Set what you need and take the rest from the default:
///
/// ```
/// use poolgate_pool::PoolConfig;
///
/// let config = PoolConfig { size: 5, max_overflow: 2, ..PoolConfig::default() };
/// assert_eq!(config.capacity(), 7);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// Connections that are kept open when they are idle. Default 20; may be 0 if `max_overflow` is not.
    pub size: u32,
    /// Connections beyond `size` that may be opened under load. Default 10.
    pub max_overflow: u32,
    /// Longest wait for a connection. Default 30 s, more than zero.
    pub acquire_timeout: Duration,
    /// Longest time for opening one connection, including the `after_connect` hook. Default 5 s.
    pub connect_timeout: Duration,
    /// Connections that may be opened at the same time. Default 16, at least 1. The pool starts with 4, or with 1 after a
    /// failure, and adds 1 after each success: a fast server is filled fast, and one that has just come back is not
    /// overrun.
    pub max_connecting: u32,
    /// Connections that are opened per second, on average. Default 20, at least 1. A burst of up to the capacity is
    /// allowed: a cold pool fills at once, and a pool whose connections break again and again does not flood the server.
    pub connect_rate: u32,
    /// Callers that may wait for a connection; further callers are refused at once. Default 10,000.
    pub max_waiting: u32,
    /// Age at which a connection is closed: when a caller asks for it, when it is returned while others wait, and within a
    /// minute when it is idle. Shortened by up to a quarter at random, so that connections of the same age do not all end
    /// together. A limit bounds what a session accumulates in the server, and how long a change of address, role or
    /// certificate stays unnoticed. Default 30 min; `None` means no limit. A SQLite database in memory lives only as long
    /// as its connection: use `None` there.
    pub max_lifetime: Option<Duration>,
    /// When the session of a returned connection is reset to its initial state. Default [`Reset::Auto`].
    pub reset: Reset,
    /// A connection that was idle for longer is pinged before it is handed out. Default 1 s.
    pub pre_ping_idle: Duration,
    /// Longest wait for a ping, and for the rollback of a connection that was returned in doubt. Default 1 s.
    pub verify_timeout: Duration,
    /// Longest wait for a connection to close cleanly; then it is dropped. Default 5 s.
    pub close_timeout: Duration,
    /// Which idle connection is handed out next. Default [`Order::Lifo`].
    pub order: Order,
    /// Idle connections to keep ready in addition to those in use, as long as no more than `size` are open. They are
    /// opened when the pool is built, if there is a tokio runtime, and again in the background after a dispose, a
    /// failover, a resize or a loss. A number above `size` means the current size. Default 0: opens nothing before a
    /// caller needs it.
    pub min_idle: u32,
}

/// Which idle connection is handed out next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The one that was used last: few connections stay warm, the others age.
    #[default]
    Lifo,
    /// The one that has been idle for longest: all connections are used in turn.
    Fifo,
}

/// When the session of a returned connection is reset to its initial state: settings, role, locks, temporary tables,
/// notifications, cursors and prepared statements of its last user. A reset takes one round trip in the background, plus
/// those of the [`after_connect`](crate::Builder::after_connect) hook, which runs again. SQLite connections are replaced
/// instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reset {
    /// If the text of a statement shows, or does not rule out, that it changed the session: a `SET`, a call of a function
    /// that is not known to be harmless, a `DO`, any use of `&mut *lease`. Plain queries cost nothing. A change that no
    /// text shows is missed: a trigger, a default, a view or a policy whose function changes its session.
    #[default]
    Auto,
    /// After each use.
    Always,
    /// Never: the settings of one user stay for the next.
    Never,
}

/// A limit that is out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid pool config: {key} {requirement}")]
#[non_exhaustive]
pub struct InvalidPoolConfig {
    /// The field's name in [`PoolConfig`].
    pub key: &'static str,
    /// What it must be.
    pub requirement: &'static str,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            size: 20,
            max_overflow: 10,
            acquire_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            max_connecting: 16,
            connect_rate: 20,
            max_waiting: 10_000,
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            reset: Reset::default(),
            pre_ping_idle: Duration::from_secs(1),
            verify_timeout: Duration::from_secs(1),
            close_timeout: Duration::from_secs(5),
            order: Order::default(),
            min_idle: 0,
        }
    }
}

impl PoolConfig {
    /// The largest [`capacity`](Self::capacity).
    pub const MAX_CAPACITY: u32 = 10_000;

    /// The most connections that may exist at the same time: `size + max_overflow`.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.size.saturating_add(self.max_overflow)
    }

    /// Checks every limit, as [`Builder::build`](crate::Builder::build) does.
    ///
    /// # Errors
    /// The first limit that is out of range.
    pub fn check(&self) -> Result<(), InvalidPoolConfig> {
        let positive = |key, value: Duration| {
            check(!value.is_zero(), key, "must be longer than zero")?;
            check(value <= LONGEST, key, "must be at most 1 day")
        };
        check(self.capacity() > 0, "size", "or max_overflow must be at least 1")?;
        check(self.capacity() <= Self::MAX_CAPACITY, "size", "and max_overflow must be at most 10,000 together")?;
        check(self.max_connecting > 0, "max_connecting", "must be at least 1")?;
        check((1..=10_000).contains(&self.connect_rate), "connect_rate", "must be 1 to 10,000")?;
        check(self.max_lifetime.is_none_or(|age| !age.is_zero()), "max_lifetime", "must be longer than zero")?;
        positive("acquire_timeout", self.acquire_timeout)?;
        positive("connect_timeout", self.connect_timeout)?;
        positive("verify_timeout", self.verify_timeout)?;
        positive("close_timeout", self.close_timeout)
    }
}

/// Longest time limit that is accepted.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

fn check(holds: bool, key: &'static str, requirement: &'static str) -> Result<(), InvalidPoolConfig> {
    if holds { Ok(()) } else { Err(InvalidPoolConfig { key, requirement }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_works_and_nonsense_is_named() {
        assert_eq!(PoolConfig::default().check(), Ok(()));
        let none = PoolConfig { size: 0, max_overflow: 0, ..PoolConfig::default() };
        assert_eq!(none.check().unwrap_err().key, "size");
        let overflow_only = PoolConfig { size: 0, max_overflow: 1, ..PoolConfig::default() };
        assert_eq!(overflow_only.check(), Ok(()));
        let no_wait = PoolConfig { acquire_timeout: Duration::ZERO, ..PoolConfig::default() };
        assert_eq!(
            no_wait.check().unwrap_err().to_string(),
            "invalid pool config: acquire_timeout must be longer than zero"
        );
        let for_ever = PoolConfig { close_timeout: Duration::MAX, ..PoolConfig::default() };
        assert_eq!(for_ever.check().unwrap_err().key, "close_timeout");
    }
}
