//! An app's own `sqlx::Pool`: Poolgate adds the gate and the monitor, and leaves the pool as it is.

use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use poolgate_pool::{AcquireError, ConnectHistory, Drained};
use poolgate_types::Backend;
use sqlx::{Connection, Pool};
use tokio::time;

use super::{BoxError, Dedicated, DedicatedConnection, Figures, SupportedDatabase, WatchedPool};

/// The pool shows neither how many callers wait for a connection nor how long. The gate in front of it counts arriving
/// requests, so the fair rate is computed as with Poolgate's own pool.
impl<DB: SupportedDatabase> WatchedPool for Pool<DB> {
    fn backend(&self) -> Option<Backend> {
        DB::BACKEND
    }

    fn figures(&self) -> Figures {
        let capacity = self.options().get_max_connections();
        let (checked_out, idle) = split(self.size(), self.num_idle());
        // There is no overflow: every connection is kept until it has been idle for `idle_timeout`.
        let lacking = self.options().get_min_connections().saturating_sub(self.size());
        Figures { pool_size: capacity, capacity, checked_out, idle, lacking, ..Figures::default() }
    }

    fn connect_history(&self) -> ConnectHistory {
        ConnectHistory::default()
    }

    fn dedicated_connection(&self, timeout: Duration) -> BoxFuture<'_, Result<Box<dyn DedicatedConnection>, BoxError>> {
        Box::pin(async move {
            let options = self.connect_options();
            match time::timeout(timeout, DB::Connection::connect_with(&options)).await {
                Ok(Ok(connection)) => Ok(Dedicated::<DB>::boxed(connection)),
                Ok(Err(error)) => Err(AcquireError::from_connect(error).into()),
                Err(_) => Err(AcquireError::ConnectTimeout { limit: timeout }.into()),
            }
        })
    }

    fn drain(&self, timeout: Duration) -> BoxFuture<'_, Drained> {
        Box::pin(async move {
            let begun = Instant::now();
            let mut drained = Drained::default();
            let left = || timeout.saturating_sub(begun.elapsed());
            // `close` would wait for every connection in use before it closes the first idle one.
            for _ in 0..self.options().get_max_connections() {
                let Some(idle) = self.try_acquire() else { break };
                if time::timeout(left(), idle.close()).await.is_err() {
                    break;
                }
                drained.idle_closed += 1;
            }
            if time::timeout(left(), self.close()).await.is_err() {
                let (in_use, idle) = split(self.size(), self.num_idle());
                drained.leases_left = in_use;
                drained.connections_left = in_use + idle;
            }
            drained
        })
    }
}

/// Connections in use (or being opened) and idle. sqlx does not read the two counts together, and the idle count may fall
/// below zero for a moment, which a `usize` shows as a huge number (sqlx #3645).
fn split(size: u32, num_idle: usize) -> (u32, u32) {
    let idle = isize::try_from(num_idle).map_or(0, |idle| idle.min(size as isize));
    let idle = u32::try_from(idle).unwrap_or_default();
    (size - idle, idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_do_not_fit_together_never_give_more_than_there_are() {
        assert_eq!(split(10, 4), (6, 4));
        assert_eq!(split(10, 10), (0, 10));
        assert_eq!(split(10, usize::MAX), (10, 0), "one below zero");
        assert_eq!(split(10, usize::MAX - 3), (10, 0));
        assert_eq!(split(10, 12), (0, 10), "read before some were closed");
        assert_eq!(split(0, usize::MAX), (0, 0));
    }
}
