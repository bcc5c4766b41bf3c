//! The figures that a source shows about its connections.

use std::time::Duration;

use poolgate_pool::Counts;

/// A source at one instant. Unknown figures are `None`, not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figures {
    /// Connections that are kept open when they are idle.
    pub pool_size: u32,
    /// Connections that may be opened in addition under load.
    pub max_overflow: u32,
    /// The most connections that may be in use at the same time.
    pub capacity: u32,
    /// Connections in use.
    pub checked_out: u32,
    /// Open connections that are not in use.
    pub idle: u32,
    /// Connections being opened; a `sqlx::Pool` counts them as in use.
    pub connecting: u32,
    /// Connections being closed or tested.
    pub closing: u32,
    /// Callers waiting for a connection.
    pub waiting: Option<u32>,
    /// Connections that are still to be opened ahead of demand.
    pub lacking: u32,
    /// Number of times the pool was disposed of; 0 for other sources.
    pub generation: u64,
    /// Number of times the pool's connect options changed; 0 for other sources.
    pub options_generation: u64,
    /// Age of the oldest checkout.
    pub oldest_checkout: Option<Duration>,
    /// Transactions since an origin of the source's choice. A smaller number than before means that it began anew. `None`
    /// if the source does not count them.
    pub transactions: Option<u64>,
}

impl Figures {
    /// Open connections beyond `pool_size`.
    pub fn overflow(&self) -> u32 {
        (self.checked_out + self.idle + self.connecting + self.closing).saturating_sub(self.pool_size)
    }

    /// The limits without the usage: an outdated usage must not limit clients for ever.
    pub(super) fn unseen(self) -> Self {
        let Self { pool_size, max_overflow, capacity, .. } = self;
        Self { pool_size, max_overflow, capacity, ..Self::default() }
    }

    /// Connections that callers could get without waiting for one to be returned.
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
            options_generation: counts.options_generation,
            oldest_checkout: counts.oldest_checkout,
            transactions: None,
        }
    }
}
