//! Closing the pool.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Database;
use tokio::time;

use crate::counts::Drained;
use crate::error::AcquireError;
use crate::observer::CloseReason;
use crate::shared::Shared;
use crate::tasks;

/// Closes the pool and waits until its connections are gone, for `timeout` at most.
pub(crate) async fn drain<DB: Database>(shared: &Arc<Shared<DB>>, timeout: Duration) -> Drained {
    let (waiting, idle) = shared.state().shut();
    let waiting_refused = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
    for reply in waiting {
        // A caller that has just left needs no answer.
        let _ = reply.send(Err(AcquireError::Closed));
    }
    let idle_closed = tasks::close_all(shared, idle, CloseReason::PoolClosed);

    let emptied = async {
        loop {
            // Registered before the look at the state, so that no notification is missed between the two.
            let notified = shared.emptied.notified();
            if shared.state().open() == 0 {
                return;
            }
            notified.await;
        }
    };
    // After a timeout the figures show what is left.
    let _ = time::timeout(timeout, emptied).await;
    let state = shared.state();
    Drained {
        leases_left: state.counts(Instant::now()).checked_out,
        connections_left: state.open(),
        idle_closed,
        waiting_refused,
    }
}
