//! Who is told to slow down, and who cannot be told.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;

use super::*;
use crate::{address::AddressKey, clients::Registry, proxies::Proxies};

/// A header field's name, and its value for each number.
type Header = (&'static str, fn(u32) -> String);

/// A gate in front of a service that answers at once, while a fair rate of one request in two seconds is in force.
struct World {
    core: Arc<Core>,
    proxies: Arc<Proxies>,
    clients: Registry,
    service: Held,
}

impl World {
    fn new(trusted: &[&str]) -> Self {
        let clients = Registry::default();
        let trusted = trusted.iter().map(|network| network.parse().expect("a network")).collect();
        let proxies = Arc::new(Proxies::new(trusted));
        let surroundings =
            Surroundings { proxies: Arc::clone(&proxies), clients: clients.clone(), ..Surroundings::default() };
        let core = Core::new(&settings(5, 5), surroundings);
        limit(&core, 0.5);
        let service = held(&Gate::with_core(Arc::clone(&core)), &Arc::new(Semaphore::new(9999)));
        Self { core, proxies, clients, service }
    }

    /// Polls of this many clients from this address.
    fn polls(&self, address: &str, clients: u32) {
        let address: IpAddr = address.parse().expect("an address");
        (0..clients).for_each(|_| self.clients.polled(AddressKey::new(address), 2));
        self.clients.count(2, Duration::from_secs(10));
    }

    /// Sends requests at once from one peer, each with a header made from its number. Returns how many are answered 429.
    async fn turned_away(&self, peer: &str, requests: u32, header: Option<Header>) -> usize {
        let peer = SocketAddr::new(peer.parse().expect("an address"), 4000);
        let mut turned_away = 0;
        for number in 0..requests {
            let mut request = request();
            request.extensions_mut().insert(ConnectInfo(peer));
            if let Some((name, value)) = header {
                let name: http::HeaderName = name.parse().expect("a name");
                request.headers_mut().insert(name, value(number).parse().expect("a value"));
            }
            let answer = self.service.clone().oneshot(request).await.expect("infallible");
            turned_away += usize::from(answer.status() == StatusCode::TOO_MANY_REQUESTS);
        }
        turned_away
    }
}

#[tokio::test]
async fn without_a_listening_client_no_caller_is_over_its_quota() {
    let world = World::new(&[]);
    assert_eq!(world.turned_away("192.0.2.1", 200, None).await, 0, "no client listens anywhere");
    world.polls("192.0.2.9", 1);
    assert_eq!(world.turned_away("192.0.2.1", 200, None).await, 0, "no client listens at this address");
    assert!(world.turned_away("192.0.2.9", 200, None).await > 150, "it hears, and does not obey");
}

#[tokio::test]
async fn those_who_poll_from_one_address_are_all_counted() {
    let world = World::new(&[]);
    world.polls("192.0.2.1", 40);
    assert_eq!(world.turned_away("192.0.2.1", 20, None).await, 0);
    assert!(world.turned_away("192.0.2.1", 200, None).await > 150);
}

#[tokio::test]
async fn a_proxy_that_is_not_trusted_is_noticed_and_its_users_are_not_told_off_for_each_other() {
    let world = World::new(&[]);
    world.polls("192.0.2.1", 3);
    assert_eq!(world.proxies.untrusted(), None);
    let forwarded: Option<Header> = Some(("x-forwarded-for", |number| format!("203.0.113.{number}")));
    assert_eq!(world.turned_away("192.0.2.1", 200, forwarded).await, 0);
    assert_eq!(world.proxies.untrusted(), Some([192, 0, 2, 1].into()));
    let trusting = World::new(&["192.0.2.0/24"]);
    trusting.polls("192.0.2.1", 3);
    trusting.turned_away("192.0.2.1", 2, forwarded).await;
    assert_eq!(trusting.proxies.untrusted(), None, "it is declared");
}

#[tokio::test]
async fn senders_behind_a_trusted_proxy_are_told_apart_in_every_spelling() {
    let spellings: [Header; 4] = [
        ("x-forwarded-for", |number| format!("203.0.113.{number}")),
        ("x-forwarded-for", |number| format!("203.0.113.{number}:5123")),
        ("x-forwarded-for", |number| format!("[2001:db8:0:{number}::1]:443")),
        ("forwarded", |number| format!("for=\"[2001:db8:1:{number}::1]:443\";proto=https")),
    ];
    for header in spellings {
        let world = World::new(&["192.0.2.1"]);
        world.polls("192.0.2.1", 1);
        for number in 0..40 {
            world.polls(&format!("203.0.113.{number}"), 1);
        }
        assert_eq!(world.turned_away("192.0.2.1", 40, Some(header)).await, 0, "{}", header.1(7));
    }
}

#[tokio::test]
async fn excess_is_no_demand_and_keeps_no_other_caller_out() {
    let world = World::new(&[]);
    world.polls("192.0.2.9", 1);
    world.turned_away("192.0.2.1", 50, None).await;
    let go = Arc::new(Semaphore::new(0));
    let busy = held(&Gate::with_core(Arc::clone(&world.core)), &go);
    let mut tasks = JoinSet::new();
    // All permits and all places of the queue are taken, by what is in excess as far as it waits.
    let send = |last: u8| {
        let mut request = request();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, last], 4000))));
        busy.clone().oneshot(request)
    };
    for _ in 0..10 {
        tasks.spawn(send(1));
    }
    while world.core.occupancy().queued < 5 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.core.occupancy().excess, 5);
    let before = world.core.totals();
    tasks.spawn(send(2));
    tasks.spawn(send(1));
    while world.core.totals().no_demand_rejected < before.no_demand_rejected + 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.core.occupancy().excess, 4, "one has given way to another caller, one found no place");
    go.add_permits(99);
    while tasks.join_next().await.is_some() {}
}
