//! The clients that receive the config: those with an open event stream, and addresses that poll.

mod activity;
mod elsewhere;
mod id;
mod poller;
mod versions;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use poolgate_control::cluster::Elsewhere;
use poolgate_types::Clients;

pub(crate) use self::id::ClientId;
use self::{
    poller::{POLL_PERIOD, Poller},
    versions::Versions,
};
use crate::address::AddressKey;

/// Maximum number of polling addresses that are remembered; further ones are not counted.
const MAX_POLLERS: usize = 10_000;

/// The registry of clients. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// The last counted number of clients.
    live: AtomicU32,
    /// The clients of other servers in front of the same database.
    elsewhere: ArcSwap<Elsewhere>,
}

/// An open stream. Dropping it removes the client, unless it has another stream.
#[derive(Debug)]
pub(crate) struct Presence {
    registry: Registry,
    key: StreamKey,
    address: Option<AddressKey>,
}

/// The address has reached its limit of open streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyStreams;

#[derive(Debug, Default)]
struct State {
    streams: HashMap<StreamKey, Stream>,
    at_address: HashMap<AddressKey, AtAddress>,
    pollers: HashMap<AddressKey, Poller>,
    next_anonymous: u64,
    versions: Versions,
    /// The number of streams that received the newest version, counted as it happens, so that reading takes constant time.
    in_sync: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct AtAddress {
    /// Clients with a stream.
    clients: u32,
    /// Open streams; a client may have several.
    streams: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum StreamKey {
    Named(ClientId),
    Anonymous(u64),
}

impl StreamKey {
    /// The part of the client's id that operators see, if it sends one.
    fn beginning(&self) -> Option<String> {
        match self {
            Self::Named(id) => Some(id.beginning()),
            Self::Anonymous(_) => None,
        }
    }
}

#[derive(Debug)]
struct Stream {
    open: u32,
    address: Option<AddressKey>,
    /// The last version sent to it.
    version: Option<u64>,
    since: Instant,
}

impl Registry {
    /// A client opens a stream; up to `most` may be open from one address. A client with several streams (an
    /// overlapping reconnect) counts once.
    pub(crate) fn opened(
        &self,
        id: Option<ClientId>,
        address: Option<AddressKey>,
        most: u32,
    ) -> Result<Presence, TooManyStreams> {
        let mut state = self.lock();
        if let Some(address) = address {
            let at_address = state.at_address.entry(address).or_default();
            if at_address.streams >= most {
                return Err(TooManyStreams);
            }
            at_address.streams += 1;
        }
        let key = match id {
            Some(id) => StreamKey::Named(id),
            None => {
                state.next_anonymous += 1;
                StreamKey::Anonymous(state.next_anonymous)
            }
        };
        let stream = state.streams.entry(key.clone()).or_insert_with(|| Stream {
            open: 0,
            address,
            version: None,
            since: Instant::now(),
        });
        stream.open += 1;
        if let (1, Some(address)) = (stream.open, address) {
            state.at_address.entry(address).or_default().clients += 1;
        }
        drop(state);
        Ok(Presence { registry: self.clone(), key, address })
    }

    /// A client polled and received this version.
    pub(crate) fn polled(&self, address: AddressKey, version: u64) {
        let mut state = self.lock();
        if state.pollers.len() < MAX_POLLERS || state.pollers.contains_key(&address) {
            let now = Instant::now();
            state.pollers.entry(address).or_insert_with(|| Poller::new(now)).polled(version, now);
        }
    }

    /// Counts the clients, and those of them that received `version`. Addresses that have not polled within `ttl` are
    /// dropped; polls of an address with a stream do not count.
    pub(crate) fn count(&self, version: u64, ttl: Duration) -> Clients {
        let mut state = self.lock();
        state.learn(version);
        if version < state.versions.newest() {
            // Another server's config, whose versions are lower.
            state.versions.begin_with(version, Instant::now());
            state.in_sync = state.streams.values().filter(|stream| stream.version == Some(version)).count();
        }
        state.pollers.retain(|_, poller| poller.last.elapsed() <= ttl.max(2 * POLL_PERIOD));
        let polling = || state.polling().filter(|(_, poller)| poller.last.elapsed() <= ttl);
        let in_sync = state.in_sync + polling().filter(|(_, poller)| poller.version == version).count();
        let live = state.streams.len() + polling().count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.0.live.store(count(live), Relaxed);
        Clients { live: count(live), in_sync: count(in_sync) }
    }

    /// Whether there was any client at the last count, here or at another server.
    pub(crate) fn any_listens(&self) -> bool {
        self.0.live.load(Relaxed) > 0 || self.0.elsewhere.load().live_clients > 0
    }

    /// Number of clients with a stream.
    pub(crate) fn streaming(&self) -> u32 {
        u32::try_from(self.lock().streams.len()).unwrap_or(u32::MAX)
    }

    /// Number of clients at this address: those with a stream, plus its polls, here and at the other servers.
    pub(crate) fn at(&self, address: AddressKey) -> u32 {
        let state = self.lock();
        let streaming = state.at_address.get(&address).map_or(0, |at_address| at_address.clients);
        let polling = state.pollers.get(&address).map_or(0, Poller::clients);
        drop(state);
        self.everywhere(address, streaming.saturating_add(polling))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The counters are valid even after a panic under the lock.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Presence {
    /// The client received this version.
    pub(crate) fn sent(&self, version: u64) {
        let mut state = self.registry.lock();
        state.learn(version);
        let State { streams, versions, in_sync, .. } = &mut *state;
        let newest = versions.newest();
        if let Some(stream) = streams.get_mut(&self.key) {
            let before = stream.version.replace(version);
            *in_sync += usize::from(version == newest);
            *in_sync -= usize::from(before == Some(newest));
        }
    }
}

impl State {
    /// A version exists, which no stream may have received yet.
    fn learn(&mut self, version: u64) {
        if self.versions.learn(version, Instant::now()) {
            self.in_sync = 0;
        }
    }

    /// The addresses that poll and have no stream.
    fn polling(&self) -> impl Iterator<Item = (&AddressKey, &Poller)> {
        self.pollers.iter().filter(|(address, _)| !self.at_address.contains_key(address))
    }

    /// Subtracts the clients and streams that have left this address.
    fn left(&mut self, address: AddressKey, gone: AtAddress) {
        let Some(there) = self.at_address.get_mut(&address) else { return };
        there.clients -= gone.clients;
        there.streams -= gone.streams;
        if (there.clients, there.streams) == (0, 0) {
            self.at_address.remove(&address);
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut state = self.registry.lock();
        if let Some(address) = self.address {
            state.left(address, AtAddress { clients: 0, streams: 1 });
        }
        let Some(stream) = state.streams.get_mut(&self.key) else { return };
        stream.open -= 1;
        if stream.open > 0 {
            return;
        }
        let (address, version) = (stream.address, stream.version);
        state.streams.remove(&self.key);
        state.in_sync -= usize::from(version == Some(state.versions.newest()));
        if let Some(address) = address {
            state.left(address, AtAddress { clients: 1, streams: 0 });
        }
    }
}

#[cfg(test)]
mod tests;
