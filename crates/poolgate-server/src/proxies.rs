//! Who sent a request, given the proxies that may say so.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};

use crate::{
    address::{Sender, sender},
    settings::Network,
};

/// A proxy that is not trusted is remembered for this long.
const MEMORY: Duration = Duration::from_secs(60);

/// The proxies in front of this server: those in `server.trusted_proxies`, which may say for whom they ask, and others
/// that say so too. All clients behind one of the others look like one sender.
#[derive(Debug)]
pub(crate) struct Proxies {
    trusted: ArcSwap<Vec<Network>>,
    origin: Instant,
    /// The second in which an untrusted proxy was last seen, counted from 1; 0: never.
    noticed: AtomicU64,
    newest: Mutex<Option<IpAddr>>,
}

impl Proxies {
    pub(crate) fn new(trusted: Vec<Network>) -> Self {
        Self {
            trusted: ArcSwap::from_pointee(trusted),
            origin: Instant::now(),
            noticed: AtomicU64::new(0),
            newest: Mutex::new(None),
        }
    }

    /// Trusts these from now on.
    pub(crate) fn trust(&self, trusted: Vec<Network>) {
        self.trusted.store(Arc::new(trusted));
    }

    /// The sender of a request, if the server passes on the peer's address.
    pub(crate) fn sender(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<Sender> {
        let sender = Sender::of(extensions, headers, &self.trusted.load())?;
        if let Some(proxy) = sender.untrusted_proxy {
            self.notice(proxy);
        }
        Some(sender)
    }

    /// The address of a request's sender, if the server passes on the peer's.
    pub(crate) fn sender_address(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        Some(sender(peer.ip(), headers, &self.trusted.load()))
    }

    /// An untrusted proxy that was seen within the last minute.
    pub(crate) fn untrusted(&self) -> Option<IpAddr> {
        let noticed = self.noticed.load(Relaxed).checked_sub(1)?;
        let is_recent = self.origin.elapsed() <= Duration::from_secs(noticed) + MEMORY;
        (*self.newest.lock().unwrap_or_else(PoisonError::into_inner)).filter(|_| is_recent)
    }

    /// Remembers an untrusted proxy; logs the first one.
    fn notice(&self, peer: IpAddr) {
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
}
