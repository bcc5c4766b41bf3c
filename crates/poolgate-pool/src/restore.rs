//! Making a returned connection fit for its next user.

use std::time::Instant;

use sqlx::Database;
use tokio::time::timeout;

use crate::connect;
use crate::database::reset::Restored;
use crate::shared::Shared;
use crate::state::Pooled;

/// The result for a connection that was returned in doubt.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    Restored(Restored),
    Failed,
    /// The app's `after_release` hook refused it.
    Rejected,
}

/// Rolls back, resets what its use requires and asks the `after_release` hook, each within `verify_timeout`.
pub(crate) async fn restore<DB: Database>(shared: &Shared<DB>, pooled: &mut Pooled<DB::Connection>) -> Outcome {
    let limit = shared.config.verify_timeout;
    let restored = match timeout(limit, restore_session(shared, pooled)).await {
        Ok(Ok(restored)) => restored,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a connection could not be restored");
            return Outcome::Failed;
        }
        Err(_elapsed) => return Outcome::Failed,
    };
    if let (Some(after_release), Restored::Clean) = (&shared.hooks.after_release, restored) {
        let metadata = pooled.metadata(Instant::now());
        match timeout(limit, after_release(&mut pooled.connection, metadata)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) | Err(_) => return Outcome::Rejected,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the hook after a release failed");
                return Outcome::Rejected;
            }
        }
    }
    Outcome::Restored(restored)
}

async fn restore_session<DB: Database>(
    shared: &Shared<DB>,
    pooled: &mut Pooled<DB::Connection>,
) -> sqlx::Result<Restored> {
    let upkeep = std::mem::take(&mut pooled.upkeep);
    let restored = (shared.repairs.restore)(&mut pooled.connection, upkeep).await?;
    if upkeep.reset && restored != Restored::Unfit {
        connect::prepare(shared, &mut pooled.connection).await?;
    }
    Ok(restored)
}
