//! A connection of the monitor's own that stays open from question to question.

use std::time::Duration;

use tokio::time;

use crate::watched::{BoxError, DedicatedConnection, WatchedPool};

/// How long a connection that is not needed any more may take to close.
const GOODBYE: Duration = Duration::from_millis(100);

/// The connection, if there is one, and how often the pool had moved when it was opened.
#[derive(Default)]
pub(crate) struct Standing(Option<(u64, Box<dyn DedicatedConnection>)>);

impl Standing {
    /// There is no connection.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Takes the connection out, to be [kept](Self::keep) again once it has answered; none where there is none, or only
    /// one to a database that the pool has left since: that one's word says nothing about the other. `moves`: how often
    /// the pool has moved.
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

    /// As [`take`](Self::take); opens one where there is none.
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

    /// Keeps another one, and closes the one there was.
    pub(crate) async fn replace(&mut self, moves: u64, connection: Box<dyn DedicatedConnection>) {
        if let Some((_, before)) = self.0.replace((moves, connection)) {
            drop(time::timeout(GOODBYE, before.close()).await);
        }
    }

    /// For the next question. `moves`: of the pool, before this one.
    pub(crate) fn keep(&mut self, moves: u64, connection: Box<dyn DedicatedConnection>) {
        self.0 = Some((moves, connection));
    }

    /// Closes it, if that is possible in time.
    pub(crate) async fn close(self) {
        if let Some((_, connection)) = self.0 {
            let _ = time::timeout(GOODBYE, connection.close()).await;
        }
    }
}
