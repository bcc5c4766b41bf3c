//! Several processes watch one PgBouncer, each with a part of the clients, and tell each other of them.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use poolgate_native::{Asked, Client, HttpClient, Request, Settings, Ticket};
use poolgate_pool::{Pool, PoolConfig};
use poolgate_test_harness::{
    eventually,
    sources::{options, pooler, postgres},
};
use poolgate_throttle::Outcome;
use poolgate_types::{Status, ThrottlingConfig, rng::Rng, routes};
use serde::de::DeserializeOwned;
use sqlx::{Executor, Postgres, raw_sql};
use tokio::{
    task::JoinSet,
    time::{self, timeout},
};

use crate::process::{PATIENCE, Running, poolgate};

/// Of 40 ms each in 5 connections, and with some overhead: at most 125 a second.
const WORK: &str = "SELECT pg_sleep(0.04)";
/// Wishes of each client a second. Those of 40 are two and a half times what can be served, and an equal share is about three.
/// A rate that is four times as high limits none of them.
const WISHES: f64 = 8.0;
const CLIENTS: u64 = 40;
const AT_HOME: Duration = Duration::from_secs(1);
const IN_TIME: Duration = Duration::from_secs(2);
/// A rate that is too high at first fills the pooler's queue, which then needs some seconds to drain.
const SETTLING: Duration = Duration::from_secs(15);
const MEASURED: Duration = Duration::from_secs(10);
const LOOKS: Duration = Duration::from_millis(200);

/// The app, and what it has seen of its clients' requests.
#[derive(Clone)]
struct App {
    pool: Pool<Postgres>,
    came: Arc<AtomicU32>,
    served: Arc<AtomicU32>,
}

impl App {
    fn new(url: &str) -> Self {
        let config = PoolConfig {
            size: 120,
            max_overflow: 0,
            max_connecting: 50,
            connect_rate: 10_000,
            ..PoolConfig::default()
        };
        let pool = Pool::<Postgres>::builder(options(url)).config(config).build().expect("a pool");
        Self { pool, came: Arc::default(), served: Arc::default() }
    }

    async fn work(&self, ticket: Ticket) {
        self.came.fetch_add(1, Relaxed);
        let work = async { self.pool.acquire().await.ok()?.execute(raw_sql(WORK)).await.ok() };
        if let Ok(Some(_)) = timeout(IN_TIME, work).await {
            self.served.fetch_add(1, Relaxed);
            ticket.complete(Outcome::Success);
        }
    }
}

/// A client whose wishes come at random, and which obeys the Poolgate that it hears.
async fn wish(http: HttpClient, seed: u64, app: App) {
    let client = Client::new(http, Settings::default(), seed);
    let mut random = Rng::new(seed);
    let mut requests = JoinSet::new();
    let wishes = async {
        loop {
            let pause = -(1.0 - random.unit()).ln() / WISHES;
            time::sleep(Duration::from_secs_f64(pause)).await;
            let (client, app) = (client.clone(), app.clone());
            requests.spawn(async move {
                let request = Request { queue_timeout: Some(AT_HOME), ..Request::default() };
                let ticket = match client.ask(request) {
                    Asked::Start(ticket) => ticket,
                    Asked::Queued(waiting) => match waiting.await {
                        Ok(ticket) => ticket,
                        Err(_) => return,
                    },
                    Asked::Rejected(_) => return,
                };
                app.work(ticket).await;
            });
            while requests.try_join_next().is_some() {}
        }
    };
    tokio::join!(client.run(), wishes);
}

async fn get<T: DeserializeOwned>(http: &HttpClient, path: &str) -> T {
    let answer = http.get(path, Instant::now() + PATIENCE).await.expect("an answer");
    serde_json::from_slice(&answer.body).expect("a document")
}

/// Means of the last [`MEASURED`].
#[derive(Debug)]
struct Means {
    /// Published by each process, in requests a second.
    rates: Vec<f64>,
    /// The highest rate that one has published.
    highest: f64,
    arrivals: f64,
    served: f64,
    waiting: f64,
}

/// A pooler, the app, and a process for each part of the clients. Several share what they know in a table of the database.
async fn run(database: &'static str, parts: &[u64]) -> Means {
    assert_eq!(parts.iter().sum::<u64>(), CLIENTS);
    let postgres = postgres().await;
    postgres.create_database(database).expect("created");
    let settings = &["pool_mode=transaction", "default_pool_size=5", "max_client_conn=300"];
    let pooler = pooler(postgres, database, settings).await;
    let app = App::new(&pooler.url("app", database));
    let url = format!("pgbouncer://stats@127.0.0.1:{}/{database}", pooler.port());
    let start = |_| {
        let mut command = poolgate(&["serve", "--port", "0", "--watch", &url]);
        if parts.len() > 1 {
            command.env("DATABASE_URL", postgres.url(database)).env("POOLGATE_CLUSTER__STORE", "postgres");
        }
        Running::spawn(command.stderr(Stdio::null()))
    };
    let running: Vec<_> = parts.iter().map(start).collect();
    for one in &running {
        eventually("ready", || one.get("/readyz").contains("200 OK")).await;
    }
    let servers: Vec<_> = running.iter().map(|one| HttpClient::new(one.address.parse().expect("an address"))).collect();
    let mut clients = JoinSet::new();
    let hear = parts.iter().zip(&servers).flat_map(|(part, server)| (0..*part).map(move |_| server));
    for (server, seed) in hear.zip(1..) {
        clients.spawn(wish(server.clone(), seed, app.clone()));
    }
    time::sleep(SETTLING).await;

    let (came, served) = (app.came.load(Relaxed), app.served.load(Relaxed));
    let (begun, mut looks, mut waiting) = (Instant::now(), 0_u32, 0_u32);
    let (mut rates, mut highest) = (vec![0.0; parts.len()], 0.0_f64);
    while begun.elapsed() < MEASURED {
        for (server, sum) in servers.iter().zip(&mut rates) {
            let config: ThrottlingConfig = get(server, routes::THROTTLING_CONFIG).await;
            let rate = config.fair_rate_per_second.expect("the clients want more than there is");
            *sum += rate;
            highest = highest.max(rate);
        }
        let status: Status = get(&servers[0], routes::STATUS).await;
        waiting += status.pool.waiting.expect("PgBouncer shows it");
        looks += 1;
        time::sleep(LOOKS).await;
    }
    let a_second = |now: &AtomicU32, before: u32| f64::from(now.load(Relaxed) - before) / begun.elapsed().as_secs_f64();
    let means = Means {
        rates: rates.iter().map(|sum| sum / f64::from(looks)).collect(),
        highest,
        arrivals: a_second(&app.came, came),
        served: a_second(&app.served, served),
        waiting: f64::from(waiting) / f64::from(looks),
    };
    clients.abort_all();
    while clients.join_next().await.is_some() {}
    println!("{parts:?}: {means:.2?}");
    means
}

/// Whether two figures differ by at most a tenth.
fn is_equal(one: f64, other: f64) -> bool {
    (one / other - 1.0).abs() <= 0.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_process_publishes_the_rate_of_one_however_the_clients_are_spread() {
    let (one, four) = tokio::join!(run("one_watcher", &[CLIENTS]), run("four_watchers", &[25, 8, 4, 3]));
    assert!(four.rates.iter().all(|rate| is_equal(*rate, one.rates[0])), "{four:?}, {one:?}");
    assert!(is_equal(four.arrivals, one.arrivals), "arrivals: {four:?}, {one:?}");
    assert!(is_equal(four.served, one.served), "served: {four:?}, {one:?}");
    // A process that counted its own clients as all would publish a rate for a part of them.
    assert!(four.highest < 2.0 * one.rates[0], "{four:?}, {one:?}");
    assert!(four.waiting < 30.0, "the first rates were too high, and the queue has not drained since: {four:?}");
}
