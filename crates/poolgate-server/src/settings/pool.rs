//! `pool.*`: the connection pool.

use std::time::Duration;

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::duration;

/// `pool.*`: the connection pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct PoolSettings {
    /// Connections that stay open, 1 to 10,000. Default: 20.
    pub size: u32,
    /// Additional connections under load, up to 10,000. Default: 10.
    pub max_overflow: u32,
    /// Minimum number of idle connections beside those in use, 0 to `pool.size`, as long as no more than `pool.size`
    /// are open. They are opened before `/readyz` reports ready, for at most 10 s, and again after every loss. Default:
    /// `pool.size`, so that a start, a failover and a burst find open connections; with 0 they are opened only on
    /// demand.
    pub min_idle: Option<u32>,
    /// How long a caller waits for a connection. Default: 30 s.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Time limit for opening a connection. Default: 5 s.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// Maximum number of connections being opened at the same time, 1 to 100: starts at four, grows by one with each
    /// success, and drops to one after a failure. Default: 16.
    pub max_connecting: u32,
    /// Mean number of connections opened per second after the first fill, 1 to 10,000. Default: 20.
    pub connect_rate: u32,
    /// Age at which a connection is replaced, up to 24 h, shortened by up to a quarter at random; 0 s: never. Default:
    /// 30 min.
    #[serde(with = "duration")]
    pub max_lifetime: Duration,
    /// When to reset the session of a returned connection: `auto`, after a statement that may have left something in it;
    /// `always`; or `never`, and one user's session state is visible to the next. Default: auto.
    pub reset: PoolReset,
    /// Idle time after which a connection is tested before use. Default: 1 s.
    #[serde(with = "duration")]
    pub pre_ping_idle: Duration,
    /// Which idle connection is used first: `lifo`, the most recently used one, so that the others can be closed; or
    /// `fifo`. Default: lifo.
    pub order: PoolOrder,
}

/// Which idle connection is used first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolOrder {
    /// The most recently used one.
    #[default]
    Lifo,
    /// The least recently used one.
    Fifo,
}

/// When to reset the session of a returned connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolReset {
    /// After a statement that left session state, or that may have.
    #[default]
    Auto,
    /// After every use, with a round trip in the background.
    Always,
    /// Never: session state of one user is visible to the next.
    Never,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            size: 20,
            max_overflow: 10,
            min_idle: None,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            max_connecting: 16,
            connect_rate: 20,
            max_lifetime: Duration::from_secs(30 * 60),
            reset: PoolReset::Auto,
            pre_ping_idle: Duration::from_secs(1),
            order: PoolOrder::Lifo,
        }
    }
}
