//! The clients that receive the config: those with an open event stream, and addresses that poll.

use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use poolgate_types::Clients;

use crate::address::AddressKey;

/// Maximum number of polling addresses that are remembered; further ones are not counted.
const MAX_POLLERS: usize = 10_000;
/// Clients without a stream poll at least this often.
const POLL_PERIOD: Duration = Duration::from_secs(30);

/// The registry of clients. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// The last counted number of clients.
    live: AtomicU32,
}

/// A random id that a browser generates: 1 to 64 characters of `A-Z a-z 0-9 - _`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientId(Box<str>);

/// The text is not a valid client id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidClientId;

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
    /// The newest version and the number of streams that received it, counted as it happens, so that reading takes
    /// constant time.
    newest: u64,
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

#[derive(Debug)]
struct Stream {
    open: u32,
    address: Option<AddressKey>,
    /// The last version sent to it.
    version: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Poller {
    last: Instant,
    version: u64,
    /// Start of the current counting period, and the polls in it and in the previous one.
    period: Instant,
    polls: u32,
    polls_before: u32,
}

impl Poller {
    fn new(now: Instant) -> Self {
        Self { last: now, version: 0, period: now, polls: 0, polls_before: 0 }
    }

    fn polled(&mut self, version: u64, now: Instant) {
        let periods = now.duration_since(self.period).as_secs() / POLL_PERIOD.as_secs();
        if periods > 0 {
            self.polls_before = if periods == 1 { self.polls } else { 0 };
            (self.period, self.polls) = (now, 0);
        }
        self.polls = self.polls.saturating_add(1);
        (self.last, self.version) = (now, version);
    }

    /// Upper bound of the number of clients: each poll in a period may come from another one.
    fn clients(&self) -> u32 {
        if self.last.elapsed() > 2 * POLL_PERIOD { 0 } else { self.polls.max(self.polls_before) }
    }
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
        let stream = state.streams.entry(key.clone()).or_insert_with(|| Stream { open: 0, address, version: None });
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
        let State { streams, at_address, pollers, newest, in_sync, .. } = &mut *state;
        pollers.retain(|_, poller| poller.last.elapsed() <= ttl.max(2 * POLL_PERIOD));
        let is_recent = |poller: &Poller| poller.last.elapsed() <= ttl;
        let polling =
            || pollers.iter().filter(|(address, poller)| is_recent(poller) && !at_address.contains_key(address));
        let streams_in_sync = if *newest == version { *in_sync } else { 0 };
        let in_sync = streams_in_sync + polling().filter(|(_, poller)| poller.version == version).count();
        let live = streams.len() + polling().count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.0.live.store(count(live), Relaxed);
        Clients { live: count(live), in_sync: count(in_sync) }
    }

    /// Whether there was any client at the last count.
    pub(crate) fn anybody(&self) -> bool {
        self.0.live.load(Relaxed) > 0
    }

    /// Number of clients with a stream.
    pub(crate) fn streaming(&self) -> u32 {
        u32::try_from(self.lock().streams.len()).unwrap_or(u32::MAX)
    }

    /// Number of clients at this address: those with a stream, plus its polls.
    pub(crate) fn at(&self, address: AddressKey) -> u32 {
        let state = self.lock();
        let streaming = state.at_address.get(&address).map_or(0, |at_address| at_address.clients);
        let polling = state.pollers.get(&address).map_or(0, Poller::clients);
        streaming.saturating_add(polling)
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
        let State { streams, newest, in_sync, .. } = &mut *state;
        if let Some(stream) = streams.get_mut(&self.key) {
            let before = stream.version.replace(version);
            *in_sync += usize::from(version == *newest);
            *in_sync -= usize::from(before == Some(*newest));
        }
    }
}

impl State {
    /// A new version exists that no stream has received yet.
    fn learn(&mut self, version: u64) {
        if version > self.newest {
            (self.newest, self.in_sync) = (version, 0);
        }
    }
}

impl State {
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
        state.in_sync -= usize::from(version == Some(state.newest));
        if let Some(address) = address {
            state.left(address, AtAddress { clients: 1, streams: 0 });
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

    fn open(registry: &Registry, id: Option<ClientId>, address: Option<AddressKey>) -> Presence {
        registry.opened(id, address, u32::MAX).expect("no limit")
    }

    const TTL: Duration = Duration::from_secs(90);

    #[test]
    fn a_client_counts_once_however_many_streams_it_has() {
        let registry = Registry::default();
        let first = open(&registry, id("a"), Some(address(1)));
        let second = open(&registry, id("a"), Some(address(1)));
        let other = open(&registry, id("b"), Some(address(1)));
        let anonymous = open(&registry, None, None);
        assert_eq!((registry.count(1, TTL).live, registry.at(address(1))), (3, 2));
        drop(first);
        assert_eq!(registry.count(1, TTL).live, 3, "it has another stream");
        drop((second, other, anonymous));
        assert_eq!((registry.count(1, TTL).live, registry.at(address(1))), (0, 0));
        registry.polled(address(9), 1);
        assert_eq!((registry.count(1, TTL).live, registry.streaming()), (1, 0), "a poll is no stream");
    }

    #[test]
    fn clients_that_received_the_version_are_in_sync() {
        let registry = Registry::default();
        drop(open(&registry, id("z"), None));
        let one = open(&registry, id("a"), Some(address(1)));
        let _two = open(&registry, id("b"), Some(address(2)));
        one.sent(7);
        registry.polled(address(3), 7);
        registry.polled(address(4), 6);
        assert_eq!(registry.count(7, TTL), Clients { live: 4, in_sync: 2 });
        registry.polled(address(1), 7);
        assert_eq!(registry.count(7, TTL).live, 4, "an address with a stream is not counted for its polls");
        assert_eq!(registry.count(7, Duration::ZERO).live, 2, "polls expire");
        let again = open(&registry, id("a"), Some(address(1)));
        one.sent(8);
        again.sent(8);
        assert_eq!(registry.count(8, TTL).in_sync, 1, "a client counts once");
        drop(again);
        assert_eq!(registry.count(8, TTL).in_sync, 1, "it has another stream");
        drop(one);
        assert_eq!(registry.count(8, TTL).in_sync, 0);
    }

    #[test]
    fn the_streams_of_one_address_are_limited() {
        let registry = Registry::default();
        let open = |name: &str, last| registry.opened(id(name), Some(address(last)), 2);
        let first = open("a", 1).expect("the first");
        let _second = open("a", 1).expect("the same client again is a stream as well");
        assert_eq!(open("b", 1).err(), Some(TooManyStreams));
        let _other = open("b", 2).expect("somewhere else");
        drop(first);
        assert!(open("b", 1).is_ok(), "there is room again");
        assert_eq!((registry.at(address(1)), registry.at(address(2))), (1, 1));
    }

    #[test]
    fn polls_are_counted_at_their_address() {
        let registry = Registry::default();
        assert!(!registry.anybody());
        for _ in 0..20 {
            registry.polled(address(1), 7);
        }
        let _stream = open(&registry, None, Some(address(1)));
        assert_eq!((registry.at(address(1)), registry.at(address(2))), (21, 0), "each of them may be another client");
        registry.count(7, TTL);
        assert!(registry.anybody());
    }

    #[test]
    fn old_polls_do_not_count() {
        let begin = Instant::now();
        let after = |periods: u32| begin + POLL_PERIOD * periods;
        let mut poller = Poller::new(begin);
        (0..9).for_each(|_| poller.polled(1, begin));
        assert_eq!(poller.clients(), 9);
        poller.polled(1, after(1));
        assert_eq!(poller.clients(), 9, "the period before counts as well");
        poller.polled(1, after(2));
        assert_eq!(poller.clients(), 1);
        poller.polled(1, after(9));
        assert_eq!((poller.polls_before, poller.clients()), (0, 1));
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
