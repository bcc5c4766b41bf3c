//! Three processes behind a balancer serve one config: the same bytes, also when the one that publishes is killed, and
//! without a 429 for clients whose requests arrive elsewhere than their streams.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    ops::RangeInclusive,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use poolgate_native::{Asked, Client, HttpClient, Request, Settings};
use poolgate_test_postgres::{NatsServer, Postgres};
use poolgate_types::{ClusterMember, ConfigVersion, Status, ThrottlingConfig, routes};
use tokio::{
    io,
    net::{TcpListener, TcpStream},
    time,
};

use crate::process::{PATIENCE, Running, poolgate};

/// Requests that hold a connection for this long.
const PATH: &str = "/api/v1/lab/hold?hold_ms=200";
/// Clients that each want more than there is: about 15 permits / 0.2 s = 75 requests a second for 40.
const CLIENTS: u64 = 40;
const DEMAND: Duration = Duration::from_millis(150);

fn start(postgres: &Postgres, store: &str) -> Running {
    let url = postgres.url("postgres");
    let mut command = poolgate(&["--demo", "--port", "0", "--database-url", &url]);
    let command = command
        .env("POOLGATE_CLUSTER__STORE", store)
        .env("POOLGATE_CLUSTER__CONNECTIONS", "30")
        .env("POOLGATE_CLUSTER__MAX_REPLICAS", "3")
        .env("RUST_LOG", "warn,poolgate_cluster=info");
    Running::spawn(command)
}

/// A balancer: each new connection goes to the next server that takes it.
async fn balance(servers: Vec<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let next = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (servers, next) = (servers.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                for _ in &servers {
                    let turn = next.fetch_add(1, Relaxed) % servers.len();
                    if let Ok(mut server) = TcpStream::connect(&servers[turn]).await {
                        let _ = io::copy_bidirectional(&mut client, &mut server).await;
                        return;
                    }
                }
            });
        }
    });
    address
}

/// How the clients' requests were answered, by status.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<BTreeMap<u16, u32>>>);

impl Answers {
    fn count(&self, status: u16) {
        *self.0.lock().expect("counted").entry(status).or_default() += 1;
    }

    fn take(&self) -> BTreeMap<u16, u32> {
        std::mem::take(&mut *self.0.lock().expect("counted"))
    }
}

/// A client that asks for more than its share, and obeys.
async fn use_it(balancer: SocketAddr, seed: u64, answers: Answers) {
    let client = Client::new(HttpClient::new(balancer), Settings::default(), seed);
    let following = client.clone();
    tokio::spawn(async move { following.run().await });
    let mut ticks = time::interval(DEMAND);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (client, answers) = (client.clone(), answers.clone());
        let ticket = match client.ask(Request::default()) {
            Asked::Start(ticket) => ticket,
            Asked::Queued(waiting) => match waiting.await {
                Ok(ticket) => ticket,
                Err(_) => continue,
            },
            Asked::Rejected(_) => continue,
        };
        tokio::spawn(async move {
            if let Ok(answer) = client.get(ticket, PATH, Instant::now() + Duration::from_secs(5)).await {
                answers.count(answer.status.as_u16());
            }
        });
    }
}

/// What the servers serve, as it was seen.
struct Watch {
    http: Vec<HttpClient>,
    running: Vec<bool>,
    documents: BTreeMap<ConfigVersion, Vec<u8>>,
    newest: Vec<Option<ConfigVersion>>,
}

impl Watch {
    fn new(servers: &[Running]) -> Self {
        let http = servers.iter().map(|server| HttpClient::new(server.address.parse().expect("an address"))).collect();
        Self { http, running: vec![true; servers.len()], documents: BTreeMap::new(), newest: vec![None; servers.len()] }
    }

    /// Looks at each server once. A version has one content, and no server goes back.
    async fn look(&mut self) {
        for number in 0..self.http.len() {
            if !self.running[number] {
                continue;
            }
            let answer = self.http[number].get(routes::THROTTLING_CONFIG, soon()).await.expect("an answer");
            if answer.status == 503 {
                assert_eq!(self.newest[number], None, "it knew a config");
                continue;
            }
            let config: ThrottlingConfig = serde_json::from_slice(&answer.body).expect("a config");
            let known = self.documents.entry(config.at()).or_insert_with(|| answer.body.to_vec());
            assert_eq!(known, &answer.body.to_vec(), "byte for byte");
            assert!(self.newest[number] <= Some(config.at()), "{:?} then {:?}", self.newest[number], config.at());
            self.newest[number] = Some(config.at());
        }
    }

    async fn look_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.look().await;
            time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Looks until `condition` holds; returns the time.
    async fn look_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) -> Duration {
        let begun = Instant::now();
        loop {
            self.look().await;
            if condition(self) {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < PATIENCE, "not {what}: {:?}", self.newest);
            time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn look_until_ready(&mut self, servers: &[Running]) {
        for server in servers {
            let address = server.address.clone();
            let ready =
                move || matches!(crate::process::get(&address, "/readyz"), Some(answer) if answer.contains(" 200 "));
            let begun = Instant::now();
            while !tokio::task::spawn_blocking(ready.clone()).await.expect("joined") {
                assert!(begun.elapsed() < PATIENCE, "not ready");
                self.look().await;
            }
        }
    }

    /// Looks until this many members have such a share of the database and all serve one config.
    async fn look_until_shared(&mut self, members: usize, share: RangeInclusive<u32>) {
        let begun = Instant::now();
        loop {
            let cluster = self.status(0).await.cluster.expect("a cluster");
            let has_share = |member: &ClusterMember| member.share.is_some_and(|own| share.contains(&own));
            if cluster.members.len() == members && cluster.members.iter().all(has_share) {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "not shared: {cluster:?}");
            self.look_for(Duration::from_millis(100)).await;
        }
        self.look_until("the same", |watch| watch.common().is_some()).await;
    }

    fn common(&self) -> Option<ThrottlingConfig> {
        let running = self.newest.iter().zip(&self.running).filter(|(_, running)| **running);
        let all: BTreeSet<_> = running.map(|(newest, _)| *newest).collect();
        let at = all.first().copied().flatten().filter(|_| all.len() == 1)?;
        serde_json::from_slice(&self.documents[&at]).ok()
    }

    async fn status(&self, number: usize) -> Status {
        let answer = self.http[number].get(routes::STATUS, soon()).await.expect("an answer");
        serde_json::from_slice(&answer.body).expect("a status")
    }
}

/// Clients that use the servers through a balancer from now on.
async fn use_all(servers: &[Running]) -> Answers {
    let balancer = balance(servers.iter().map(|server| server.address.clone()).collect()).await;
    let answers = Answers::default();
    for seed in 0..CLIENTS {
        tokio::spawn(use_it(balancer, seed, answers.clone()));
    }
    answers
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_serve_one_config_and_another_one_goes_on() {
    let postgres = Arc::new(Postgres::start().expect("PostgreSQL"));
    let mut servers: Vec<_> = (0..3).map(|_| start(&postgres, "postgres")).collect();
    let mut watch = Watch::new(&servers);
    watch.look_until_ready(&servers).await;
    watch.look_until_shared(3, 6..=6).await;

    let answers = use_all(&servers).await;
    let limited = watch
        .look_until("limited", |watch| watch.common().is_some_and(|config| config.fair_rate_per_second.is_some()))
        .await;
    watch.look_for(Duration::from_secs(8)).await;
    answers.take();
    watch.look_for(Duration::from_secs(8)).await;
    let steady = answers.take();

    let status = watch.status(0).await;
    let cluster = status.cluster.expect("a cluster");
    assert!(!cluster.is_static && cluster.store_trouble.is_none(), "{cluster:?}");
    let publishers: Vec<_> = cluster.members.iter().filter(|member| member.publishes).collect();
    assert_eq!(publishers.len(), 1, "{cluster:?}");
    let mut number = 0;
    while watch.status(number).await.cluster.map(|cluster| cluster.replica).as_ref() != Some(&publishers[0].replica) {
        number += 1;
    }
    let before = watch.newest.iter().max().copied().flatten().expect("a config");
    servers[number].signal("KILL");
    watch.running[number] = false;
    let went_on = watch.look_until("gone on", |watch| watch.common().is_some_and(|config| config.at() > before)).await;
    watch.look_for(Duration::from_secs(10)).await;
    let after = answers.take();
    let epochs: BTreeSet<_> = watch.documents.keys().map(|at| at.epoch).collect();
    assert_eq!(epochs.len(), 1, "one epoch: {epochs:?}");
    println!(
        "limited after {limited:?}; answers in 8 s {steady:?}; publisher killed, the next version after {went_on:?}, \
         answers {after:?}; {} versions",
        watch.documents.len()
    );
    assert_eq!((steady.get(&429), after.get(&429)), (None, None), "no client that obeys is over its quota");
    assert!(steady.get(&200).is_some_and(|served| *served > 300), "{steady:?}");
    servers.clear();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_meet_in_nats_serve_one_config() {
    let postgres = Postgres::start().expect("PostgreSQL");
    let nats = NatsServer::start_for("app", "hunter2").expect("nats-server");
    let store = format!("nats://app:hunter2@127.0.0.1:{}", nats.port());
    let servers: Vec<_> = (0..2).map(|_| start(&postgres, &store)).collect();
    let mut watch = Watch::new(&servers);
    watch.look_until_ready(&servers).await;
    watch.look_until_shared(2, 2..=u32::MAX).await;

    let answers = use_all(&servers).await;
    watch
        .look_until("limited", |watch| watch.common().is_some_and(|config| config.fair_rate_per_second.is_some()))
        .await;
    watch.look_for(Duration::from_secs(5)).await;
    let epochs: BTreeSet<_> = watch.documents.keys().map(|at| at.epoch).collect();
    assert_eq!(epochs.len(), 1, "one epoch: {epochs:?}");
    let cluster = watch.status(0).await.cluster.expect("a cluster");
    assert!(cluster.members.len() == 2 && !cluster.is_static && cluster.store_trouble.is_none(), "{cluster:?}");
    let answers = answers.take();
    assert!(answers.get(&200).is_some_and(|served| *served > 100) && !answers.contains_key(&429), "{answers:?}");

    // What operators see says nothing of the password.
    drop(nats);
    let begun = Instant::now();
    let trouble = loop {
        if let Some(trouble) = watch.status(0).await.cluster.and_then(|cluster| cluster.store_trouble) {
            break trouble;
        }
        assert!(begun.elapsed() < PATIENCE, "the store is gone");
        time::sleep(Duration::from_millis(100)).await;
    };
    assert!(!trouble.contains("hunter2"), "{trouble}");
}
