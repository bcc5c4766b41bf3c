//! Who listens: clients with an open event stream, and addresses that poll.

use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use poolgate_types::Clients;

use crate::address::AddressKey;

/// Addresses that poll and are remembered; beyond it new ones are not counted.
const MAX_POLLERS: usize = 10_000;

/// The clients that listen. Cheap to clone; all clones are the same registry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry(Arc<Mutex<State>>);

/// A random id that a browser made for itself: 1 to 64 characters of `A-Z a-z 0-9 - _`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientId(Box<str>);

/// The text is not a client id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidClientId;

/// An open stream. Dropping it ends the client's presence, unless it has another stream.
#[derive(Debug)]
pub(crate) struct Presence {
    registry: Registry,
    key: StreamKey,
}

#[derive(Debug, Default)]
struct State {
    streams: HashMap<StreamKey, Stream>,
    at_address: HashMap<AddressKey, u32>,
    pollers: HashMap<AddressKey, Poller>,
    next_anonymous: u64,
    /// The newest version that is known here, and how many streams were sent it: counted as it happens, so that asking
    /// costs the same however many there are.
    newest: u64,
    in_sync: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum StreamKey {
    Named(ClientId),
    Anonymous(u64),
}

#[derive(Debug)]
struct Stream {
    open: u32,
    address: Option<AddressKey>,
    /// What it was sent last.
    version: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Poller {
    last: Instant,
    version: u64,
}

impl Registry {
    /// A client opened a stream. A client with several streams (a reconnect that overlaps) counts once.
    pub(crate) fn opened(&self, id: Option<ClientId>, address: Option<AddressKey>) -> Presence {
        let mut state = self.lock();
        let key = match id {
            Some(id) => StreamKey::Named(id),
            None => {
                state.next_anonymous += 1;
                StreamKey::Anonymous(state.next_anonymous)
            }
        };
        let stream = state.streams.entry(key.clone()).or_insert_with(|| Stream { open: 0, address, version: None });
        stream.open += 1;
        if let (1, Some(address)) = (stream.open, address) {
            *state.at_address.entry(address).or_default() += 1;
        }
        drop(state);
        Presence { registry: self.clone(), key }
    }

    /// A client asked for the config and was answered with this version.
    pub(crate) fn polled(&self, address: AddressKey, version: u64) {
        let mut state = self.lock();
        if state.pollers.len() < MAX_POLLERS || state.pollers.contains_key(&address) {
            state.pollers.insert(address, Poller { last: Instant::now(), version });
        }
    }

    /// Counts those that are there, and of them those that were sent `version`. Addresses that have not polled within
    /// `ttl` are forgotten; an address with a stream is not counted again for its polls.
    pub(crate) fn count(&self, version: u64, ttl: Duration) -> Clients {
        let mut state = self.lock();
        state.learn(version);
        let State { streams, at_address, pollers, newest, in_sync, .. } = &mut *state;
        pollers.retain(|_, poller| poller.last.elapsed() <= ttl);
        let polling = || pollers.iter().filter(|(address, _)| !at_address.contains_key(address));
        let streams_in_sync = if *newest == version { *in_sync } else { 0 };
        let in_sync = streams_in_sync + polling().filter(|(_, poller)| poller.version == version).count();
        let live = streams.len() + polling().count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Clients { live: count(live), in_sync: count(in_sync) }
    }

    /// Clients with a stream.
    pub(crate) fn streaming(&self) -> u32 {
        u32::try_from(self.lock().streams.len()).unwrap_or(u32::MAX)
    }

    /// Clients with a stream from this address.
    pub(crate) fn at(&self, address: AddressKey) -> u32 {
        self.lock().at_address.get(&address).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters stay usable whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Presence {
    /// The client was sent this version.
    pub(crate) fn sent(&self, version: u64) {
        let mut state = self.registry.lock();
        state.learn(version);
        let State { streams, newest, in_sync, .. } = &mut *state;
        if let Some(stream) = streams.get_mut(&self.key) {
            let before = stream.version.replace(version);
            *in_sync += usize::from(version == *newest);
            *in_sync -= usize::from(before == Some(*newest));
        }
    }
}

impl State {
    /// There is a version that no stream was sent yet.
    fn learn(&mut self, version: u64) {
        if version > self.newest {
            (self.newest, self.in_sync) = (version, 0);
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut state = self.registry.lock();
        let Some(stream) = state.streams.get_mut(&self.key) else { return };
        stream.open -= 1;
        if stream.open > 0 {
            return;
        }
        let (address, version) = (stream.address, stream.version);
        state.streams.remove(&self.key);
        state.in_sync -= usize::from(version == Some(state.newest));
        if let Some(address) = address
            && let Some(clients) = state.at_address.get_mut(&address)
        {
            *clients -= 1;
            if *clients == 0 {
                state.at_address.remove(&address);
            }
        }
    }
}

impl FromStr for ClientId {
    type Err = InvalidClientId;

    fn from_str(text: &str) -> Result<Self, InvalidClientId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidClientId)
        }
    }
}

impl fmt::Display for InvalidClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`client` must be 1 to 64 characters of A-Z a-z 0-9 - _")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> AddressKey {
        AddressKey::new([192, 0, 2, last].into())
    }

    fn id(text: &str) -> Option<ClientId> {
        Some(text.parse().expect("an id"))
    }

    const TTL: Duration = Duration::from_secs(90);

    #[test]
    fn a_client_counts_once_however_many_streams_it_has() {
        let registry = Registry::default();
        let first = registry.opened(id("a"), Some(address(1)));
        let second = registry.opened(id("a"), Some(address(1)));
        let other = registry.opened(id("b"), Some(address(1)));
        let anonymous = registry.opened(None, None);
        assert_eq!((registry.count(1, TTL).live, registry.at(address(1))), (3, 2));
        registry.polled(address(9), 1);
        assert_eq!((registry.count(1, Duration::ZERO).live, registry.streaming()), (3, 3), "a poll is no stream");
        drop(first);
        assert_eq!(registry.count(1, TTL).live, 3, "it has another stream");
        drop((second, other, anonymous));
        assert_eq!((registry.count(1, TTL).live, registry.at(address(1))), (0, 0));
    }

    #[test]
    fn in_sync_are_those_that_were_sent_the_version() {
        let registry = Registry::default();
        drop(registry.opened(id("z"), None));
        let one = registry.opened(id("a"), Some(address(1)));
        let _two = registry.opened(id("b"), Some(address(2)));
        one.sent(7);
        registry.polled(address(3), 7);
        registry.polled(address(4), 6);
        assert_eq!(registry.count(7, TTL), Clients { live: 4, in_sync: 2 });
        registry.polled(address(1), 7);
        assert_eq!(registry.count(7, TTL).live, 4, "an address with a stream is not counted for its polls");
        assert_eq!(registry.count(7, Duration::ZERO).live, 2, "polls expire");
        let again = registry.opened(id("a"), Some(address(1)));
        one.sent(8);
        again.sent(8);
        assert_eq!(registry.count(8, TTL).in_sync, 1, "a client counts once");
        drop(again);
        assert_eq!(registry.count(8, TTL).in_sync, 1, "it has another stream");
        drop(one);
        assert_eq!(registry.count(8, TTL).in_sync, 0);
    }

    #[test]
    fn the_number_of_pollers_is_bounded() {
        let registry = Registry::default();
        for number in 0..20_000_u32 {
            registry.polled(AddressKey::new(std::net::Ipv4Addr::from_bits(number).into()), 1);
        }
        assert_eq!(registry.count(1, TTL).live as usize, MAX_POLLERS);
    }

    #[test]
    fn ids_are_short_and_plain() {
        for text in ["", "a b", "é", "<script>", &"x".repeat(65)] {
            assert_eq!(text.parse::<ClientId>(), Err(InvalidClientId), "{text}");
        }
    }
}
