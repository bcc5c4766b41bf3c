//! How large the pool may become and how long each of its waits may last.

use std::time::Duration;

/// The pool's limits. Change what you need and leave the rest at its default:
///
/// ```
/// use poolgate_pool::PoolConfig;
///
/// let config = PoolConfig { size: 5, max_overflow: 2, ..PoolConfig::default() };
/// assert_eq!(config.capacity(), 7);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// Connections that are kept when nobody needs them. Default 20; may be 0 if `max_overflow` is not.
    pub size: u32,
    /// Connections beyond `size` that a burst may open. Default 10.
    pub max_overflow: u32,
    /// Longest wait for a connection. Default 30 s, more than zero.
    pub timeout: Duration,
    /// Longest time for opening one connection, the `on_connect` hook included. Default 5 s.
    pub connect_timeout: Duration,
    /// Connections that are opened at the same time at the most. Default 16, at least 1. It begins with 4, one alone after a
    /// failure, and each connect that succeeds lets one more be opened: a server that is quick is filled quickly, and one
    /// that has just come back is not stormed by everyone at once.
    pub max_connecting: u32,
    /// Connections that are opened within a second, on average. Default 20, at least 1. As many as the capacity may be
    /// opened ahead of that: a cold pool fills at once, and one whose connections break over and over does not storm.
    pub connect_rate: u32,
    /// Callers that may wait for a connection; one more is refused at once. Default 10,000.
    pub max_waiting: u32,
    /// Age at which a connection is closed: when it is asked for, when it comes back while others wait, and within a minute
    /// when it is idle. Shortened by up to a quarter at random so that connections
    /// of one age do not all end together. What a session gathers in the server, and a change that nobody has noticed (an
    /// address, a role, a certificate), ends with it. Default 30 min; `None` is never. A SQLite database in memory lives as
    /// long as its connection: `None` there.
    pub max_lifetime: Option<Duration>,
    /// When the session of a connection that comes back is put back to what it was at the start. Default [`Reset::Auto`].
    pub reset: Reset,
    /// A connection that was idle for longer is pinged before it is handed out. Default 1 s.
    pub pre_ping_idle: Duration,
    /// Longest wait for a ping, and for the rollback of a connection that came back in doubt. Default 1 s.
    pub verify_timeout: Duration,
    /// Longest wait for a connection to close in good order; then it is dropped. Default 5 s.
    pub close_timeout: Duration,
    /// Which idle connection is handed out next. Default [`Order::Lifo`].
    pub order: Order,
    /// Connections to have idle, beside those in use, before anyone asks for them, as long as no more than `size` are
    /// open. They are opened when the pool is built, where there is a tokio runtime, and again in the background after a
    /// dispose, a failover, a larger size or a loss. A number above `size` means the size, whatever that becomes.
    /// Default 0: nothing is opened before a caller needs it.
    pub min_idle: u32,
}

/// Which idle connection is handed out next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The one used last: few connections stay warm, the others age.
    #[default]
    Lifo,
    /// The one unused for longest: all connections are used in turn.
    Fifo,
}

/// When the session of a connection that comes back is put back to what it was at the start: settings, role, locks, temporary
/// tables, notifications, cursors and prepared statements of its last user. That takes a round trip in the background (and
/// those of the [`on_connect`](crate::Builder::on_connect) hook, which runs again). SQLite's connections are replaced
/// instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reset {
    /// When the text of a statement shows, or does not rule out, that it left something behind: a `SET`, a call of a function
    /// that is not known to be harmless, a `DO`, anything done on `&mut *lease`. Plain queries cost nothing. What no text
    /// shows is not seen: a trigger, a default, a view or a policy whose function changes its session.
    #[default]
    Auto,
    /// Each time.
    Always,
    /// Never; what one user sets, the next one finds.
    Never,
}

/// A limit that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pool.{key} {requirement}")]
#[non_exhaustive]
pub struct InvalidConfig {
    /// The setting's name, as in [`PoolConfig`].
    pub key: &'static str,
    /// What it must be.
    pub requirement: &'static str,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            size: 20,
            max_overflow: 10,
            timeout: Duration::from_secs(30),
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
    /// The most connections that may exist at any moment: `size + max_overflow`.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.size.saturating_add(self.max_overflow)
    }

    /// Checks every limit; [`Builder::build`](crate::Builder::build) does it too.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        let positive = |key, value: Duration| {
            check(!value.is_zero(), key, "must be longer than zero")?;
            check(value <= LONGEST, key, "must be at most 1 day")
        };
        check(self.capacity() > 0, "size", "or max_overflow must be at least 1")?;
        check(self.capacity() <= 10_000, "size", "and max_overflow must be at most 10,000 together")?;
        check(self.max_connecting > 0, "max_connecting", "must be at least 1")?;
        check((1..=10_000).contains(&self.connect_rate), "connect_rate", "must be 1 to 10,000")?;
        check(self.max_lifetime.is_none_or(|age| !age.is_zero()), "max_lifetime", "must be longer than zero")?;
        positive("timeout", self.timeout)?;
        positive("connect_timeout", self.connect_timeout)?;
        positive("verify_timeout", self.verify_timeout)?;
        positive("close_timeout", self.close_timeout)
    }
}

/// A wait longer than this is no wait but a hang.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

fn check(holds: bool, key: &'static str, requirement: &'static str) -> Result<(), InvalidConfig> {
    if holds { Ok(()) } else { Err(InvalidConfig { key, requirement }) }
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
        let no_wait = PoolConfig { timeout: Duration::ZERO, ..PoolConfig::default() };
        assert_eq!(no_wait.check().unwrap_err().to_string(), "pool.timeout must be longer than zero");
        let for_ever = PoolConfig { close_timeout: Duration::MAX, ..PoolConfig::default() };
        assert_eq!(for_ever.check().unwrap_err().key, "close_timeout");
    }
}
