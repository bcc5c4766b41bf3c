//! The registry as its users see it.

use poolgate_control::cluster::{Ledger, Replica, ReplicaId, Seen, Settings};

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
fn a_config_with_a_lower_version_counts_anew() {
    let registry = Registry::default();
    let (one, _two) = (open(&registry, id("a"), None), open(&registry, id("b"), None));
    one.sent(65_537);
    assert_eq!(registry.count(65_537, TTL).in_sync, 1);
    one.sent(70);
    assert_eq!(registry.count(70, TTL).in_sync, 1);
    one.sent(134);
    assert_eq!(registry.count(134, TTL).in_sync, 1);
    let lags: Vec<_> = registry.worst(2).iter().map(|client| client.lag_seconds > 0.0).collect();
    assert_eq!(lags, [true, false], "only the one that was told nothing is late");
}

#[test]
fn an_office_with_its_streams_on_another_server_is_known() {
    let (there, here) = (Registry::default(), Registry::default());
    let _streams: Vec<_> = (0..200).map(|_| open(&there, None, Some(address(1)))).collect();
    there.polled(address(2), 1);
    let audience = there.audience(7);
    assert_eq!(audience.pollers.estimate(), 1);
    let mut replica = Replica::new(ReplicaId(1), Settings { budget: 10, max_replicas: 2, ttl: TTL }, Duration::ZERO);
    replica.set_audience(audience);
    let row = replica.begin(Duration::ZERO).row;
    let mut other = Replica::new(ReplicaId(2), *replica.settings(), Duration::ZERO);
    let ledger = Ledger { revision: 1, key: 7, ..Default::default() };
    other.end(Some(Seen { rows: vec![row], ledger: Some(ledger), config: None }), Duration::ZERO);
    here.learn_elsewhere(Arc::new(other.elsewhere()));
    assert_eq!((here.at(address(1)), here.at(address(3))), (200, 0));
}

#[test]
fn the_clients_without_the_newest_version_come_first() {
    let registry = Registry::default();
    let late = open(&registry, id("late-0123456789"), None);
    let prompt = open(&registry, id("prompt"), None);
    late.sent(1);
    prompt.sent(1);
    assert!(registry.worst(9).iter().all(|client| client.lag_seconds == 0.0));
    prompt.sent(2);
    registry.polled(address(7), 2);
    let worst = registry.worst(9);
    assert_eq!((worst.len(), worst[0].id.as_deref(), worst[0].version), (3, Some("late-012"), Some(1)));
    assert!(worst[0].lag_seconds > 0.0 && worst[1].lag_seconds == 0.0, "{worst:?}");
    assert_eq!(worst.iter().filter(|client| client.polls).count(), 1);
    assert_eq!(registry.worst(1).len(), 1, "bounded");
}

#[test]
fn polls_are_counted_at_their_address() {
    let registry = Registry::default();
    assert!(!registry.any_listens());
    for _ in 0..20 {
        registry.polled(address(1), 7);
    }
    let _stream = open(&registry, None, Some(address(1)));
    assert_eq!((registry.at(address(1)), registry.at(address(2))), (21, 0), "each of them may be another client");
    registry.count(7, TTL);
    assert!(registry.any_listens());
}

#[test]
fn the_number_of_pollers_is_bounded() {
    let registry = Registry::default();
    for number in 0..20_000_u32 {
        registry.polled(AddressKey::new(std::net::Ipv4Addr::from_bits(number).into()), 1);
    }
    assert_eq!(registry.count(1, TTL).live as usize, MAX_POLLERS);
}
