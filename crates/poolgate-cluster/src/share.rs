//! A pool that takes a share.

use poolgate_pool::Pool;
use sqlx::Database;

/// Connections whose number can be limited: a [`Pool`].
pub trait Share: Send + Sync + 'static {
    /// Allows this many connections, at least 1, from now on. Those above are closed as they come back, and none is
    /// opened before they have. Returns how many there are, those being opened and closed included.
    fn allow(&self, connections: u32) -> u32;
    /// Connections that it could use at most.
    fn wants(&self) -> u32;
}

/// A pool, and the sizes that it would have alone.
#[derive(Debug)]
pub struct PoolShare<DB: Database> {
    pool: Pool<DB>,
    size: u32,
    max_overflow: u32,
}

/// A replica without a pool, which watches a source.
#[derive(Clone, Copy, Debug)]
pub struct NoShare;

impl Share for NoShare {
    fn allow(&self, _: u32) -> u32 {
        0
    }

    /// Each replica is granted one at least.
    fn wants(&self) -> u32 {
        1
    }
}

impl<DB: Database> PoolShare<DB> {
    /// Build the pool with one connection (`size` 1, `max_overflow` 0), and give here the sizes that it would have alone.
    pub fn new(pool: Pool<DB>, size: u32, max_overflow: u32) -> Self {
        Self { pool, size, max_overflow }
    }
}

impl<DB: Database> Share for PoolShare<DB> {
    fn allow(&self, connections: u32) -> u32 {
        let size = self.size.min(connections.max(1));
        let max_overflow = self.max_overflow.min(connections.max(1) - size);
        let counts = self.pool.counts();
        if (counts.pool_size, counts.max_overflow) != (size, max_overflow)
            && let Err(error) = self.pool.resize(size, max_overflow)
        {
            tracing::error!(%error, "Connection pool does not take its share");
        }
        self.pool.counts().open()
    }

    fn wants(&self) -> u32 {
        self.size.saturating_add(self.max_overflow)
    }
}
