//! Connections outside the pool. The pool learns from them how the database is doing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Database;

use crate::connect::{self, Attempt};
use crate::error::AcquireError;
use crate::random::random;
use crate::shared::Shared;
use crate::tasks;

pub(crate) async fn connect<DB: Database>(
    shared: &Arc<Shared<DB>>,
    limit: Duration,
) -> Result<DB::Connection, AcquireError> {
    let Attempt { options_generation, result, .. } = connect::attempt(shared, limit).await;
    let now = Instant::now();
    let mut state = shared.state();
    // A result from a previous server does not matter.
    let is_current = options_generation == state.options_generation();
    match &result {
        Ok(_) if is_current => {
            state.backoff().succeeded(now);
            drop(state);
            tasks::connect_for_waiters(shared);
        }
        // The server refuses the pool as well, which need not try in order to know.
        Err(error) if is_current && error.is_answer() => state.backoff().failed(error.clone(), now, random()),
        Err(_) if is_current => state.backoff().dedicated_failed(now),
        _ => {}
    }
    result.map(|established| established.connection)
}
