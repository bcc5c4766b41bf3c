//! Ends waits on dead connections.
//!
//! A firewall that forgets connections, or an outage of the network, leaves a holder waiting for an answer while the
//! server waits for the holder's next statement. Neither is told, and sqlx sets no keepalive, so nothing else ends the
//! wait. When both sides have waited for each other for 10 s while the server answers on another connection, the
//! connection is dead. That is evidence and no guess from an age, so no setting has to allow it.

use std::time::{Duration, Instant};

use poolgate_pool::{LeaseInfo, Purpose};
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::{
    Cleaner,
    server::{Found, Server},
};
use crate::watched::{Upkeep, WatchedPool};

/// After an outage of the network of half this length, TCP repeats what was lost before this time is over.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two looks at the leases.
const INTERVAL: Duration = Duration::from_secs(1);
/// Time between two looks at the sessions while none is lost: long statements are no reason to connect every second. It
/// doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Cleaner {
    /// Ends waits on dead connections until `closing`. `answers` says whether the server has answered lately.
    pub(crate) async fn end_lost(
        &self,
        pool: &dyn WatchedPool,
        answers: impl Fn() -> bool,
        closing: &CancellationToken,
    ) {
        let Some(upkeep) = pool.upkeep() else { return };
        let (mut not_before, mut pause) = (Instant::now(), PAUSE);
        while closing.run_until_cancelled(time::sleep(INTERVAL)).await.is_some() {
            let any_waits = upkeep.counts().checked_out > 0 && upkeep.leases().iter().any(waits_long);
            if !any_waits {
                (not_before, pause) = (Instant::now(), PAUSE);
            } else if Instant::now() >= not_before && answers() {
                let _others_wait = self.looking.lock().await;
                if end(pool, upkeep).await > 0 {
                    pause = PAUSE;
                } else {
                    not_before = Instant::now() + pause;
                    pause = LONGEST_PAUSE.min(2 * pause);
                }
            }
        }
    }
}

/// Returns how many leases it has ended.
async fn end(pool: &dyn WatchedPool, upkeep: &dyn Upkeep) -> usize {
    let (leases, seen) = (upkeep.leases(), Instant::now());
    let mut server = match Server::look(pool, &leases, seen, PATIENCE).await {
        Ok(server) => server,
        Err(why) => {
            tracing::debug!(why, "Connections that may be dead could not be looked at");
            return 0;
        }
    };
    let mut ended = 0;
    for lease in leases.iter().filter(|lease| waits_long(lease)) {
        let session_ended = match server.session_of(lease) {
            Found::Ended => true,
            Found::Ours(session) => {
                let idles = session.idles().or(session.idles_in_transaction());
                let session = session.clone();
                // Ends it only if it still waits.
                idles.is_some_and(|idles| idles >= PATIENCE) && server.terminate(&session).await == Ok(true)
            }
            Found::Foreign | Found::Unknown => false,
        };
        if session_ended && upkeep.lose(lease.id) {
            ended += 1;
            report(lease);
        }
    }
    server.close().await;
    ended
}

fn waits_long(lease: &LeaseInfo) -> bool {
    lease.waits.is_some_and(|waits| waits >= PATIENCE)
}

fn report(lease: &LeaseInfo) {
    let LeaseInfo { id, location: place, server_pid: pid, .. } = lease;
    let waited_seconds = lease.waits.unwrap_or_default().as_secs_f64();
    let route = lease.purpose.as_ref().map(Purpose::route);
    tracing::warn!(
        lease = id, pid, waited_seconds, %place, route,
        "A connection was lost: its holder waited for an answer, and the database server for the holder"
    );
}
