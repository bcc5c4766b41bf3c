//! An app in another language behind a PgBouncer, under more load than its database can take: its browsers obey
//! Poolgate's config, although no request passes through Poolgate's gate.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use poolgate_native::{Asked, Client, HttpClient, Request, Settings as ThrottleSettings};
use poolgate_pool::{Pool, PoolConfig};
use poolgate_server::{PgBouncer, Poolgate, Settings};
use poolgate_test_harness::{
    eventually,
    sources::{options, pooler, postgres},
};
use sqlx::{Executor, Postgres, raw_sql};
use tokio::{net::TcpListener, task::JoinSet, time};
use tower::ServiceExt;

const SERVER_CONNECTIONS: u32 = 5;
/// 5 connections of 40 ms and some overhead: at most 125 requests a second.
const WORK: &str = "SELECT pg_sleep(0.04)";
const CLIENTS: u64 = 30;
/// Demand of each client per second: together 300, more than twice the capacity.
const WISHES: f64 = 10.0;
const PATIENCE: Duration = Duration::from_secs(2);
/// Longer than a slow machine needs until clients know the rate, queues have drained and the rate has settled.
const SETTLED: Duration = Duration::from_secs(60);

async fn work(State(pool): State<Pool<Postgres>>) -> StatusCode {
    let Ok(mut connection) = pool.acquire().await else { return StatusCode::SERVICE_UNAVAILABLE };
    match connection.execute(raw_sql(WORK)).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[derive(Default)]
struct Seen {
    served: AtomicU64,
    late: AtomicU64,
    slowest_micros: AtomicU64,
}

impl Seen {
    fn take(&self) -> (u64, u64, Duration) {
        let slowest = Duration::from_micros(self.slowest_micros.swap(0, Relaxed));
        (self.served.swap(0, Relaxed), self.late.swap(0, Relaxed), slowest)
    }
}

/// A client with this demand per second, until its task is aborted.
async fn wish(http: HttpClient, seed: u64, seen: Arc<Seen>) {
    let client = Client::new(http, ThrottleSettings::default(), seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut requests = JoinSet::new();
    let wishes = async {
        loop {
            let wait = -(1.0 - random.f64()).ln() / WISHES;
            time::sleep(Duration::from_secs_f64(wait)).await;
            let (client, seen) = (client.clone(), Arc::clone(&seen));
            requests.spawn(async move {
                let request = Request { queue_timeout: Some(Duration::from_secs(1)), ..Request::default() };
                let ticket = match client.ask(request) {
                    Asked::Start(ticket) => ticket,
                    Asked::Queued(waiting) => match waiting.await {
                        Ok(ticket) => ticket,
                        Err(_) => return,
                    },
                    Asked::Rejected(_) => return,
                };
                let begun = Instant::now();
                match client.get(ticket, "/work", begun + PATIENCE).await {
                    Ok(answer) if answer.status.is_success() => {
                        seen.served.fetch_add(1, Relaxed);
                        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                        seen.slowest_micros.fetch_max(micros, Relaxed);
                    }
                    _ => {
                        seen.late.fetch_add(1, Relaxed);
                    }
                }
            });
            while requests.try_join_next().is_some() {}
        }
    };
    tokio::join!(client.run(), wishes);
}

/// Results of one run, over its last six seconds.
struct Outcome {
    served_per_second: f64,
    got_nothing: u64,
    /// Share of the server connections in use, and waiting clients of the pooler, on average.
    busy: f64,
    waiting: f64,
    poolgate: Poolgate,
}

/// When clients learn the config.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Never,
    Always,
    /// Poolgate is restarted in the middle of the overload.
    Late,
}

fn start(source: PgBouncer, told: bool) -> Poolgate {
    let mut settings = Settings::default();
    settings.control.clients = told;
    Poolgate::builder(source).settings(settings).start()
}

/// Waits until all requests have been served quickly for three seconds; returns how long that took.
async fn settled(seen: &Seen) -> Duration {
    let begun = Instant::now();
    let mut good_seconds = 0;
    seen.take();
    while good_seconds < 3 {
        assert!(begun.elapsed() < SETTLED, "the rate has not settled within {SETTLED:?}");
        time::sleep(Duration::from_secs(1)).await;
        let (served, got_nothing, slowest) = seen.take();
        let good = served > 50 && got_nothing == 0 && slowest < Duration::from_secs(1);
        good_seconds = if good { good_seconds + 1 } else { 0 };
    }
    begun.elapsed().saturating_sub(Duration::from_secs(3))
}

/// The app with this many connections to the pooler, and its users.
async fn run(database: &'static str, app_connections: u32, told: Told) -> Outcome {
    let postgres = postgres().await;
    postgres.create_database(database).expect("created");
    let pooler =
        pooler(postgres, database, &["pool_mode=transaction", "default_pool_size=5", "max_client_conn=300"]).await;
    let config = PoolConfig {
        size: app_connections,
        max_overflow: 0,
        max_connecting: 50,
        connect_rate: 10_000,
        ..PoolConfig::default()
    };
    let app_pool = Pool::<Postgres>::builder(options(&pooler.url("app", database))).config(config).build();
    let source = || PgBouncer::new(options(&pooler.url("stats", database)));
    let mut poolgate = start(source(), told == Told::Always);
    eventually("ready", || poolgate.readiness().missing().is_none()).await;
    let app = Router::new().route("/work", get(work)).with_state(app_pool.expect("a pool"));
    let routes = Arc::new(Mutex::new(poolgate.routes()));
    let app = app.fallback({
        let routes = Arc::clone(&routes);
        move |request: axum::extract::Request| {
            let routes = routes.lock().expect("no panic under the lock").clone();
            routes.oneshot(request)
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, service).await });

    let seen = Arc::new(Seen::default());
    let mut clients = JoinSet::new();
    for seed in 1..=CLIENTS {
        clients.spawn(wish(HttpClient::new(address), seed, Arc::clone(&seen)));
    }
    time::sleep(Duration::from_secs(3)).await;
    if told == Told::Late {
        poolgate.close();
        poolgate = start(source(), true);
        *routes.lock().expect("no panic under the lock") = poolgate.routes();
    }
    let settled_after = match told {
        Told::Never => None,
        Told::Always | Told::Late => Some(settled(&seen).await),
    };
    seen.take();
    let (mut waiting, mut in_use, mut samples) = (0, 0, 0);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        time::sleep(Duration::from_millis(50)).await;
        let pool = poolgate.status().pool;
        assert!(pool.capacity == SERVER_CONNECTIONS && pool.checked_out <= SERVER_CONNECTIONS, "{pool:?}");
        waiting += pool.waiting.expect("PgBouncer shows it");
        in_use += pool.checked_out;
        samples += 1;
    }
    let (served, got_nothing, slowest) = seen.take();
    clients.abort_all();
    while clients.join_next().await.is_some() {}
    server.abort();
    let mean = |sum: u32| f64::from(sum) / f64::from(samples);
    let busy = mean(in_use) / f64::from(SERVER_CONNECTIONS);
    let served_per_second = served as f64 / begun.elapsed().as_secs_f64();
    let waiting = mean(waiting);
    println!(
        "{app_connections} connections, told {told:?}: {served_per_second:.0} served a second, {got_nothing} got nothing, slowest {slowest:?}, busy \
         {busy:.2}, {waiting:.1} waiting, settled after {settled_after:?}"
    );
    Outcome { served_per_second, got_nothing, busy, waiting, poolgate }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_of_an_app_in_another_language_share_the_capacity_of_its_database() {
    let (untold, told) = tokio::join!(run("untold", 120, Told::Never), run("told", 120, Told::Always));
    assert!(untold.waiting > 90.0 && untold.got_nothing > 100, "this is an overload");
    assert!(told.busy > 0.7, "the database stays busy: {:.2}", told.busy);
    assert!(told.waiting < 60.0, "few wait in the pooler: {:.1}", told.waiting);
    assert!(told.got_nothing < 30, "nearly all sent requests are served in time: {} are not", told.got_nothing);
    assert!(told.served_per_second > 2.0 * untold.served_per_second, "more get an answer");
    eventually("released", || told.poolgate.config().fair_rate_per_second.is_none()).await;
    let unlimited = untold.poolgate.config();
    assert!(!unlimited.enforced, "with control.clients = false clients are not limited");
}

/// Poolgate starts when the queue in the pooler is at its maximum and the rest waits in the app, so no more requests
/// arrive than are served. Recovery takes about ten seconds, and part of the queue may return briefly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standing_queue_is_enough_evidence_if_the_rest_of_it_is_hidden() {
    let told = run("out_of_sight", 15, Told::Late).await;
    assert!(told.busy > 0.7, "the database stays busy: {:.2}", told.busy);
    assert!(told.served_per_second > 80.0, "the work is for users who still wait: {:.0}", told.served_per_second);
}
