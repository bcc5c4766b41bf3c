//! Limits open connections: no address takes all of them, and idle ones make room for new ones.

use std::{
    collections::HashMap,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Instant,
};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use poolgate_server::{
    AddressKey,
    settings::{Network, ServerSettings},
};
use tokio_util::sync::CancellationToken;

/// One in this many connections is reserved for loopback addresses, where an orchestrator's probes come from; at most
/// [`MOST_RESERVED`].
const RESERVED_PART: u32 = 8;
const MOST_RESERVED: u32 = 16;

/// The open connections.
#[derive(Debug)]
pub(crate) struct Connections {
    most: u32,
    most_for_others: u32,
    most_per_address: u32,
    trusted_proxies: Vec<Network>,
    origin: Instant,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: u32,
    by_address: HashMap<AddressKey, HashMap<u64, Arc<Activity>>>,
    next: u64,
}

/// The state of a connection.
#[derive(Debug)]
struct Activity {
    /// Since when no request is in progress, in microseconds since the origin; [`BUSY`] during a request.
    idle_since: AtomicU64,
    evicted: CancellationToken,
}

const BUSY: u64 = u64::MAX;

/// A connection's place; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    address: AddressKey,
    number: u64,
    activity: Arc<Activity>,
}

impl Connections {
    pub(crate) fn new(settings: &ServerSettings) -> Arc<Self> {
        let most = settings.max_connections;
        let reserved = (most / RESERVED_PART).min(MOST_RESERVED);
        Arc::new(Self {
            most,
            most_for_others: most - reserved,
            most_per_address: settings.max_connections_per_address.min(most - most / 4),
            trusted_proxies: settings.trusted_proxies.clone(),
            origin: Instant::now(),
            open: Mutex::default(),
        })
    }

    /// A place for a connection from this address. If the address has reached its limit, its longest idle connection
    /// makes room; if all places are taken, one of the address with the most. `None`: there is no room.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Arc<Place>> {
        let address = AddressKey::new(peer);
        let is_bounded = !self.trusted_proxies.iter().any(|network| network.contains(peer));
        let most = if peer.to_canonical().is_loopback() { self.most } else { self.most_for_others };
        let mut open = self.open();
        if is_bounded && open.at(address) >= self.most_per_address {
            open.evict(address)?;
        }
        if open.total >= most {
            let crowded = open.by_address.iter().max_by_key(|(_, here)| here.len()).map(|(address, _)| *address)?;
            open.evict(crowded)?;
        }
        let activity = Arc::new(Activity { idle_since: AtomicU64::new(self.now()), evicted: CancellationToken::new() });
        let number = open.next;
        open.next += 1;
        open.total += 1;
        open.by_address.entry(address).or_default().insert(number, Arc::clone(&activity));
        drop(open);
        Some(Arc::new(Place { connections: Arc::clone(self), address, number, activity }))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(BUSY - 1)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn at(&self, address: AddressKey) -> u32 {
        self.by_address.get(&address).map_or(0, |here| u32::try_from(here.len()).unwrap_or(u32::MAX))
    }

    /// Evicts the longest idle connection of this address.
    fn evict(&mut self, address: AddressKey) -> Option<()> {
        let here = self.by_address.get(&address)?;
        let idle = here.iter().map(|(number, activity)| (activity.idle_since.load(Relaxed), *number));
        let (_, number) = idle.filter(|(since, _)| *since != BUSY).min()?;
        let activity = self.remove(address, number)?;
        activity.evicted.cancel();
        Some(())
    }

    fn remove(&mut self, address: AddressKey, number: u64) -> Option<Arc<Activity>> {
        let here = self.by_address.get_mut(&address)?;
        let activity = here.remove(&number)?;
        if here.is_empty() {
            self.by_address.remove(&address);
        }
        self.total -= 1;
        Some(activity)
    }
}

impl Place {
    /// Resolves when the connection has to make room.
    pub(crate) fn evicted(&self) -> CancellationToken {
        self.activity.evicted.clone()
    }

    /// Marks a request as in progress until the last handle to the returned value is dropped; the
    /// connection keeps its place for as long. A connection has one at a time.
    pub(crate) fn request(self: &Arc<Self>) -> Arc<InProgress> {
        self.activity.idle_since.store(BUSY, Relaxed);
        Arc::new(InProgress { place: Arc::clone(self) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().remove(self.address, self.number);
    }
}

/// A request in progress.
#[derive(Debug)]
pub(crate) struct InProgress {
    place: Arc<Place>,
}

impl InProgress {
    /// A response body; the request ends with it.
    pub(crate) fn until_the_end_of(self: Arc<Self>, body: Body) -> Body {
        Body::new(Answer { body, _in_progress: self })
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let Place { connections, activity, .. } = &*self.place;
        activity.idle_since.store(connections.now(), Relaxed);
    }
}

struct Answer {
    body: Body,
    _in_progress: Arc<InProgress>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(change: impl FnOnce(&mut ServerSettings)) -> Arc<Connections> {
        let mut settings = ServerSettings::default();
        (settings.max_connections, settings.max_connections_per_address) = (16, 5);
        change(&mut settings);
        Connections::new(&settings)
    }

    fn at(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn busy(place: Option<Arc<Place>>) -> (Arc<Place>, Arc<InProgress>) {
        let place = place.expect("room");
        let request = place.request();
        (place, request)
    }

    #[test]
    fn at_its_limit_an_address_loses_its_longest_idle_connection() {
        let connections = connections(|_| {});
        let mut places: Vec<Arc<Place>> = (0..5).map(|_| connections.admit(at(1)).expect("room")).collect();
        let requests: Vec<Arc<InProgress>> = [0, 2, 3].map(|number: usize| places[number].request()).into();
        let sixth = connections.admit(at(1)).expect("room is made");
        assert!(places[1].evicted().is_cancelled() && !places[4].evicted().is_cancelled(), "the longest idle one");
        let _ = (sixth.request(), connections.admit(at(1)).expect("and once more"));
        assert!(places[4].evicted().is_cancelled());
        let _busy: Vec<_> = (0..2).map_while(|_| connections.admit(at(1)).map(|place| busy(Some(place)))).collect();
        drop((requests, places.split_off(0)));
        assert!(connections.admit(at(1)).is_some());
    }

    #[test]
    fn a_busy_connection_is_not_closed() {
        let connections = connections(|_| {});
        let _busy: Vec<_> = (0..5).map(|_| busy(connections.admit(at(1)))).collect();
        assert!(connections.admit(at(1)).is_none(), "each of its five is busy");
        assert!(connections.admit(at(2)).is_some());
    }

    #[test]
    fn the_last_places_are_reserved_for_loopback() {
        let connections = connections(|_| {});
        let busy: Vec<_> = (0..14).map(|number| busy(connections.admit(at(number)))).collect();
        assert!(connections.admit(at(99)).is_none(), "two of sixteen are kept");
        let local: Vec<_> = (0..2).map(|_| connections.admit(IpAddr::from([127, 0, 0, 1])).expect("kept")).collect();
        assert!(connections.admit(IpAddr::from([127, 0, 0, 2])).is_none() || local[0].evicted().is_cancelled());
        drop((busy, local));
        assert_eq!(connections.open().total, 0);
        assert!(connections.open().by_address.is_empty());
    }

    #[test]
    fn a_new_connection_replaces_an_idle_one() {
        let connections = connections(|_| {});
        let idle: Vec<Arc<Place>> = (0..14).map(|number| connections.admit(at(number / 5)).expect("room")).collect();
        assert!(connections.admit(at(99)).is_some());
        assert_eq!(idle.iter().filter(|place| place.evicted().is_cancelled()).count(), 1);
    }

    #[test]
    fn a_trusted_proxy_may_take_all_places() {
        let connections = connections(|settings| {
            settings.trusted_proxies = vec!["192.0.2.0/24".parse().expect("a network")];
        });
        let busy: Vec<_> = (0..14).map(|_| busy(connections.admit(at(1)))).collect();
        assert!(connections.admit(at(1)).is_none());
        drop(busy);
    }
}
