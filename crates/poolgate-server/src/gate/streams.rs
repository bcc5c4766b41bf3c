//! Answers that are still on their way: their permits go back although nobody asks for the rest of them.
//!
//! A transport asks for more of a body when its reader has taken what there was. A reader that stalls asks for nothing, so
//! the body itself cannot give its permit back. A task looks after those that hold one, for as long as there are any.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use poolgate_control::gate::Occupancy;
use tokio::time::{self, Instant};

use super::{
    hold::{Hold, Need},
    limiter::Limiter,
};

/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(25);
/// How long an answer keeps its permit that was not seen to use a connection, while nobody waits for one. Less than
/// requests wait at the gate, so that nobody is turned away for it.
const ALLOWANCE: Duration = Duration::from_millis(250);

/// The answers that hold a permit.
#[derive(Debug)]
pub(super) struct Streams {
    limiter: Arc<Limiter>,
    allowance: Duration,
    connections: AtomicU32,
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    streams: Vec<Stream>,
    is_looked_after: bool,
}

#[derive(Debug)]
struct Stream {
    hold: Weak<Hold>,
    since: Instant,
}

impl Streams {
    /// `patience` is how long requests wait at the gate.
    pub(super) fn new(limiter: Arc<Limiter>, patience: Duration) -> Arc<Self> {
        let allowance = ALLOWANCE.min(patience / 2);
        Arc::new(Self { limiter, allowance, connections: AtomicU32::new(0), watched: Mutex::default() })
    }

    /// So many connections of the pool are in use: as many permits may be needed although no request was seen to use one.
    pub(super) fn set_connections(&self, in_use: u32) {
        self.connections.store(in_use, Relaxed);
    }

    /// Looks after an answer from now on.
    pub(super) fn watch(self: &Arc<Self>, hold: &Arc<Hold>) {
        let mut watched = self.watched();
        watched.streams.push(Stream { hold: Arc::downgrade(hold), since: Instant::now() });
        if !watched.is_looked_after {
            watched.is_looked_after = true;
            tokio::spawn(Arc::clone(self).look_after());
        }
    }

    async fn look_after(self: Arc<Self>) {
        loop {
            time::sleep(LOOK).await;
            let free = self.free();
            for hold in &free {
                hold.complete();
            }
            let mut watched = self.watched();
            if watched.streams.is_empty() {
                watched.is_looked_after = false;
                return;
            }
        }
    }

    /// Takes out those whose permits are not needed; forgets those that hold none.
    fn free(&self) -> Vec<Arc<Hold>> {
        let Occupancy { in_flight, queued, .. } = self.limiter.occupancy();
        let mut unseen = in_flight.saturating_sub(self.connections.load(Relaxed));
        let allowance = if queued > 0 { Duration::ZERO } else { self.allowance };
        let (mut free, now) = (Vec::new(), Instant::now());
        self.watched().streams.retain(|stream| {
            let Some(hold) = stream.hold.upgrade().filter(|hold| hold.has_permit()) else { return false };
            let is_free = match hold.need() {
                Need::Connection => false,
                Need::NoMore => true,
                Need::Unknown => unseen > 0 && now - stream.since >= allowance,
            };
            if is_free {
                unseen = unseen.saturating_sub(1);
                free.push(hold);
            }
            !is_free
        });
        free
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
