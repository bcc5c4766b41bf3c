//! What a source says about its connections.

use std::time::Duration;

use poolgate_pool::Counts;

/// A source at one instant. What it does not show is `None`: unknown is not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figures {
    /// Connections that are kept when nobody needs them.
    pub pool_size: u32,
    /// Connections that may be opened on top.
    pub max_overflow: u32,
    /// The most connections that may be in use at the same time.
    pub capacity: u32,
    /// Connections in use.
    pub checked_out: u32,
    /// Open connections that nobody uses.
    pub idle: u32,
    /// Connections being opened; a `sqlx::Pool` counts them as in use.
    pub connecting: u32,
    /// Connections being closed or tested.
    pub closing: u32,
    /// Callers that wait for a connection.
    pub waiting: Option<u32>,
    /// Connections that the pool is to open ahead of demand and has not opened yet.
    pub lacking: u32,
    /// Counts disposals; 0 where there are none.
    pub generation: u64,
    /// Counts the databases that were left for another; 0 where there are none.
    pub moves: u64,
    /// How long the connection has been in use that has been in use for longest.
    pub oldest_checkout: Option<Duration>,
}

impl Figures {
    /// Connections above the core size.
    pub fn overflow(&self) -> u32 {
        (self.checked_out + self.idle + self.connecting + self.closing).saturating_sub(self.pool_size)
    }

    /// The limits alone: what went on at the last reading must limit nobody for ever.
    pub(super) fn unseen(self) -> Self {
        let Self { pool_size, max_overflow, capacity, .. } = self;
        Self { pool_size, max_overflow, capacity, ..Self::default() }
    }

    /// Callers that could get a connection without waiting for another to be returned.
    pub fn available(&self) -> u32 {
        self.capacity.saturating_sub(self.checked_out + self.connecting + self.closing)
    }
}

impl From<Counts> for Figures {
    fn from(counts: Counts) -> Self {
        Self {
            pool_size: counts.pool_size,
            max_overflow: counts.max_overflow,
            capacity: counts.capacity,
            checked_out: counts.checked_out,
            idle: counts.idle,
            connecting: counts.connecting,
            closing: counts.closing,
            waiting: Some(counts.waiting),
            lacking: counts.lacking,
            generation: counts.generation,
            moves: counts.moves,
            oldest_checkout: counts.oldest_checkout,
        }
    }
}
