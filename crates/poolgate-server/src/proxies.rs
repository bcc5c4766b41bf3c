//! Proxies that nobody has declared.

use std::{
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// For how long one that was seen is remembered.
const MEMORY: Duration = Duration::from_secs(60);

/// Notices peers that say for whom they ask and are not among `server.trusted_proxies`. Everybody behind such a proxy
/// looks like one sender.
#[derive(Debug)]
pub(crate) struct UntrustedProxies {
    origin: Instant,
    /// The second in which one was noticed last, counted from 1; 0: never.
    noticed: AtomicU64,
    newest: Mutex<Option<IpAddr>>,
}

impl UntrustedProxies {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now(), noticed: AtomicU64::new(0), newest: Mutex::new(None) }
    }

    /// A request came through one. The log says so once.
    pub(crate) fn notice(&self, peer: IpAddr) {
        let second = self.origin.elapsed().as_secs() + 1;
        let before = self.noticed.swap(second, Relaxed);
        if before == second {
            return;
        }
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(peer);
        if before == 0 {
            tracing::warn!(
                %peer,
                "A proxy that is not trusted forwards requests: everybody behind it counts as one sender. If it is yours, \
                 add its address to server.trusted_proxies; otherwise somebody pretends to be one"
            );
        }
    }

    /// One that was seen within the last minute.
    pub(crate) fn recent(&self) -> Option<IpAddr> {
        let noticed = self.noticed.load(Relaxed).checked_sub(1)?;
        let is_recent = self.origin.elapsed() <= Duration::from_secs(noticed) + MEMORY;
        (*self.newest.lock().unwrap_or_else(PoisonError::into_inner)).filter(|_| is_recent)
    }
}
