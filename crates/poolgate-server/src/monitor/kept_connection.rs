//! A connection of the monitor's own that stays open between questions.

use std::time::Duration;

use tokio::time;

use crate::watched::{BoxError, DedicatedConnection, WatchedPool};

/// Time for closing a connection that is not needed any more.
const GOODBYE: Duration = Duration::from_millis(100);

/// The connection, if there is one, and the number of moves of the pool when it was opened.
#[derive(Default)]
pub(crate) struct KeptConnection(Option<(u64, Box<dyn DedicatedConnection>)>);

impl KeptConnection {
    /// Whether there is no connection.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Takes the connection out, to be [kept](Self::keep) again after it has answered. `None` if there is none, or if
    /// it leads to a database that the pool has left since. `moves`: how often the pool has moved.
    pub(crate) async fn take(&mut self, moves: u64) -> Option<Box<dyn DedicatedConnection>> {
        match self.0.take() {
            Some((then, connection)) if then == moves => Some(connection),
            Some((_, connection)) => {
                drop(time::timeout(GOODBYE, connection.close()).await);
                None
            }
            None => None,
        }
    }

    /// Like [`take`](Self::take), but opens a connection if there is none.
    pub(crate) async fn take_or_connect(
        &mut self,
        pool: &dyn WatchedPool,
        timeout: Duration,
    ) -> Result<Box<dyn DedicatedConnection>, BoxError> {
        match self.take(pool.figures().options_generation).await {
            Some(connection) => Ok(connection),
            None => pool.dedicated_connection(timeout).await,
        }
    }

    /// Keeps this connection and closes the previous one.
    pub(crate) async fn replace(&mut self, moves: u64, connection: Box<dyn DedicatedConnection>) {
        if let Some((_, before)) = self.0.replace((moves, connection)) {
            drop(time::timeout(GOODBYE, before.close()).await);
        }
    }

    /// Keeps the connection for the next question. `moves`: of the pool, before the last question.
    pub(crate) fn keep(&mut self, moves: u64, connection: Box<dyn DedicatedConnection>) {
        self.0 = Some((moves, connection));
    }

    /// Closes the connection, if that is possible in time.
    pub(crate) async fn close(self) {
        if let Some((_, connection)) = self.0 {
            let _ = time::timeout(GOODBYE, connection.close()).await;
        }
    }
}
