//! `--upstream` with `--watch`: the source says how the database is, and the gate how many requests come.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use poolgate_test_harness::sources::{options, pooler, postgres};
use poolgate_test_postgres::Postgres;
use sqlx::{ConnectOptions, Executor, PgConnection, raw_sql};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle, time::timeout};

use crate::running_gateway::{self, Gateway};

/// The app's pool. Unlike sqlx's it asks nothing of its own, so that the transactions are those of the requests.
#[derive(Clone)]
struct Connections {
    url: Arc<str>,
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<PgConnection>>>,
}

impl Connections {
    async fn run(&self, statement: &str) -> StatusCode {
        let Ok(Ok(_place)) = timeout(Duration::from_secs(2), self.places.acquire()).await else {
            return StatusCode::INTERNAL_SERVER_ERROR;
        };
        let idle = self.idle.lock().expect("whole").pop();
        let work = async {
            let mut connection: PgConnection = match idle {
                Some(connection) => connection,
                None => options(&self.url).connect().await?,
            };
            connection.execute(raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        match work.await {
            Ok(connection) => {
                self.idle.lock().expect("whole").push(connection);
                StatusCode::OK
            }
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// An app with a pool: `/db/N` runs N short transactions one after another, `/sleep/MS` holds a connection for that long,
/// `/elsewhere/MS` none, and `/fails` answers 500.
async fn app(url: &str, connections: u32) -> SocketAddr {
    let places = Arc::new(Semaphore::new(connections as usize));
    let for_db = Connections { url: url.into(), places, idle: Arc::default() };
    let for_sleep = for_db.clone();
    let db = get(move |Path(transactions): Path<u32>| async move {
        for _ in 0..transactions {
            let status = for_db.run("SELECT 1").await;
            if status != StatusCode::OK {
                return status;
            }
        }
        StatusCode::OK
    });
    let sleep = get(move |Path(milliseconds): Path<u32>| async move {
        // PostgreSQL 15 reports transactions late or never if they touch no table.
        for_sleep.run(&format!("SELECT pg_sleep({}) FROM pg_class LIMIT 1", f64::from(milliseconds) / 1000.0)).await
    });
    let elsewhere = get(|Path(milliseconds): Path<u64>| async move {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    });
    let routes = Router::new()
        .route("/db/{transactions}", db)
        .route("/sleep/{milliseconds}", sleep)
        .route("/elsewhere/{milliseconds}", elsewhere)
        .route("/fails", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// Users that ask for these paths in turn, and again as soon as they are answered.
fn users(number: usize, gateway: &Gateway, paths: &'static [&'static str]) -> Users {
    let user = |address: String| async move {
        for path in paths.iter().cycle() {
            if running_gateway::get(&address, path).await.is_ok_and(|(status, _)| status >= 500) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    Users((0..number).map(|_| tokio::spawn(user(gateway.public.clone()))).collect())
}

/// They leave when this is dropped.
struct Users(Vec<JoinHandle<()>>);

impl Drop for Users {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

async fn learned_of(paths: &'static [&'static str]) -> f64 {
    let pooler = pooler(postgres().await, "postgres", &["pool_mode=transaction", "default_pool_size=5"]).await;
    let app = app(&pooler.url("app", "postgres"), 10).await;
    let source = format!("pgbouncer://stats@127.0.0.1:{}/postgres", pooler.port());
    let gateway = Gateway::start(app, &["--watch", &source], &[]);
    let _users = users(4, &gateway, paths);
    let status =
        gateway.eventually("many requests", 30, |status| status["gate"]["admitted_total"].as_u64() > Some(400)).await;
    status["gate"]["transactions_per_request"].as_f64().unwrap_or_else(|| panic!("not learned: {status:#}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_per_request_are_learned() {
    let (one, three, few) = tokio::join!(
        learned_of(&["/db/1"]),
        learned_of(&["/db/3"]),
        learned_of(&["/db/0", "/db/0", "/db/1", "/db/0", "/db/0"]),
    );
    println!("learned: {one:.3} of 1, {three:.3} of 3, {few:.3} of 0.2");
    for (learned, real) in [(one, 1.0), (three, 3.0), (few, 0.2)] {
        assert!((learned / real - 1.0).abs() < 0.2, "{learned} instead of {real}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_hold_no_connection_make_the_gate_wider_and_others_make_it_narrow_again() {
    let pooler = pooler(postgres().await, "postgres", &["pool_mode=transaction", "default_pool_size=4"]).await;
    let app = app(&pooler.url("app", "postgres"), 20).await;
    let source = format!("pgbouncer://stats@127.0.0.1:{}/postgres", pooler.port());
    let gateway = Gateway::start(app, &["--watch", &source], &[("POOLGATE_GATE__MAX_CONCURRENT_REQUESTS", "4")]);
    let permits = |status: &serde_json::Value| status["gate"]["max_concurrent_requests"].as_u64().unwrap_or(0);
    // Before the source is read, and while nothing waits, it is as wide as the settings say.
    assert_eq!(permits(&gateway.status().await), 4);
    let elsewhere = users(24, &gateway, &["/elsewhere/400", "/elsewhere/400", "/elsewhere/400", "/sleep/20"]);
    let status = gateway.eventually("wider", 30, |status| permits(status) >= 8).await;
    let each = status["gate"]["connections_per_request"].as_f64().expect("learned");
    println!("{} permits for 4 connections at {each:.2} connections per request", permits(&status));
    assert!(each < 0.5, "{status:#}");
    let candidates =
        |status: &serde_json::Value| status["gate"]["bypass_candidates"] == serde_json::json!(["/elsewhere/"]);
    gateway.eventually("the route is named", 60, candidates).await;
    drop(elsewhere);
    let _database = users(24, &gateway, &["/sleep/40"]);
    let status = gateway.eventually("narrow again", 30, |status| permits(status) <= 5).await;
    println!("{} permits when every request holds one", permits(&status));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apps_own_500_is_no_dead_database_and_a_dead_one_opens_the_breaker_until_it_is_back() {
    let start = || {
        let postgres = Postgres::start()?;
        let settings = ["pool_mode=transaction", "default_pool_size=4", "server_login_retry=1"];
        let pooler = poolgate_test_postgres::PgBouncer::start(&postgres, "postgres", &settings)?;
        anyhow::Ok((postgres, pooler))
    };
    let (mut postgres, pooler) = tokio::task::spawn_blocking(start).await.expect("joined").expect("both");
    let app = app(&pooler.url("app", "postgres"), 8).await;
    let source = format!("pgbouncer://stats@127.0.0.1:{}/postgres", pooler.port());
    let gateway = Gateway::start(app, &["--watch", &source], &[]);
    let failing = users(4, &gateway, &["/fails"]);
    let status = gateway.eventually("many", 20, |status| status["gate"]["admitted_total"].as_u64() > Some(200)).await;
    assert_eq!(status["circuit_breaker"], "closed", "{status:#}");
    drop(failing);

    let _users = users(6, &gateway, &["/sleep/20"]);
    gateway.eventually("at work", 20, |status| status["pool"]["checked_out"].as_u64() > Some(0)).await;
    tokio::task::block_in_place(|| postgres.stop()).expect("stopped");
    gateway.eventually("open", 20, |status| status["circuit_breaker"] == "open").await;
    // It stays lost although hardly any client waits in PgBouncer now.
    for _ in 0..40 {
        let status = gateway.status().await;
        assert_ne!(status["circuit_breaker"], "closed", "{status:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::task::block_in_place(|| postgres.start_again()).expect("started");
    gateway.eventually("closed", 60, |status| status["circuit_breaker"] == "closed").await;
    assert_eq!(running_gateway::get(&gateway.public, "/sleep/1").await.expect("an answer").0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_itself_is_the_evidence_too() {
    let postgres = postgres().await;
    let url = postgres.create_database("behind_the_gate").expect("created");
    let app = app(&url, 5).await;
    let gateway = Gateway::start(app, &["--watch", &url], &[("POOLGATE_WATCH__CAPACITY", "5")]);
    let _users = users(5, &gateway, &["/sleep/50"]);
    let status = gateway
        .eventually("learned", 20, |status| {
            let gate = &status["gate"];
            status["pool"]["checked_out"].as_u64() >= Some(4)
                && gate["connections_per_request"].as_f64() > Some(0.7)
                && gate["transactions_per_request"].as_f64().is_some_and(|each| (0.7..1.5).contains(&each))
        })
        .await;
    assert_eq!(status["pool"]["capacity"], 5, "{status:#}");
    // As many as use five connections, at 0.7 to 1 of them each, and not the 25 of the settings.
    let permits = status["gate"]["max_concurrent_requests"].as_u64();
    assert!((5..=7).contains(&permits.unwrap_or(0)), "{status:#}");
}
