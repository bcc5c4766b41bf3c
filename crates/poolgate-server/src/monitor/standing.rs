//! A connection of the monitor's own that stays open from question to question.

use std::time::Duration;

use tokio::time;

use crate::watched::{ApartConnection, BoxError, WatchedPool};

/// How long a connection that is not needed any more may take to close.
const GOODBYE: Duration = Duration::from_millis(100);

/// The connection, if there is one, and how often the pool had moved when it was opened.
#[derive(Default)]
pub(crate) struct Standing(Option<(u64, Box<dyn ApartConnection>)>);

impl Standing {
    /// Takes the connection out, to be [kept](Self::keep) again once it has answered; opens one where there is none, or
    /// only one to a database that the pool has left since: that one's word says nothing about the other.
    pub(crate) async fn take(
        &mut self,
        pool: &dyn WatchedPool,
        timeout: Duration,
    ) -> Result<Box<dyn ApartConnection>, BoxError> {
        match self.0.take() {
            Some((moves, connection)) if moves == pool.figures().moves => return Ok(connection),
            Some((_, connection)) => drop(time::timeout(GOODBYE, connection.close()).await),
            None => {}
        }
        pool.connect_apart(timeout).await
    }

    /// For the next question. `moves`: of the pool, before this one.
    pub(crate) fn keep(&mut self, moves: u64, connection: Box<dyn ApartConnection>) {
        self.0 = Some((moves, connection));
    }

    /// Closes it, if that is possible in time.
    pub(crate) async fn close(self) {
        if let Some((_, connection)) = self.0 {
            let _ = time::timeout(GOODBYE, connection.close()).await;
        }
    }
}
