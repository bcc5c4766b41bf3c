//! Detects proxies that are not configured as trusted.

use std::{
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How long a detected proxy is remembered.
const MEMORY: Duration = Duration::from_secs(60);

/// Detects peers that name another sender and are not in `server.trusted_proxies`. All clients behind such a proxy
/// count as one sender.
#[derive(Debug)]
pub(crate) struct UntrustedProxies {
    origin: Instant,
    /// The second of the last detection, counted from 1; 0: never.
    noticed: AtomicU64,
    newest: Mutex<Option<IpAddr>>,
}

impl UntrustedProxies {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now(), noticed: AtomicU64::new(0), newest: Mutex::new(None) }
    }

    /// A request arrived through an untrusted proxy. Logged once.
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
                "An untrusted proxy forwards requests: all clients behind it count as one sender. If it is yours, \
                 add its address to server.trusted_proxies; otherwise a client pretends to be a proxy"
            );
        }
    }

    /// The proxy that was detected within the last minute.
    pub(crate) fn recent(&self) -> Option<IpAddr> {
        let noticed = self.noticed.load(Relaxed).checked_sub(1)?;
        let is_recent = self.origin.elapsed() <= Duration::from_secs(noticed) + MEMORY;
        (*self.newest.lock().unwrap_or_else(PoisonError::into_inner)).filter(|_| is_recent)
    }
}
