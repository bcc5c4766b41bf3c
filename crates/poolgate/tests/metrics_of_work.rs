//! The metrics after known work, in a separate process, because a process has one recorder.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, routing::get};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use poolgate::telemetry::Prometheus;
use poolgate_pool::{AcquireError, Lease, Pool, PoolConfig, PostgresSession};
use poolgate_server::{Poolgate, Settings, settings::Secret};
use poolgate_test_postgres::Postgres as Database;
use poolgate_types::routes;
use sqlx::{Executor, Postgres};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

/// Longer than any wait in this test.
const PATIENCE: Duration = Duration::from_secs(10);
const TOKEN: &str = "a token of some length";
/// The threshold of the cleanup below for the age of a connection in use, and the pause between two cleanups.
const SECOND: Duration = Duration::from_secs(1);
/// How long three connections are in use at least while a caller waits for one.
const HELD: Duration = Duration::from_millis(200);

async fn send(app: Router, request: http::request::Builder) -> (StatusCode, String) {
    let request = request.header("host", "localhost:8000").body(Body::empty()).expect("a request");
    let response = app.oneshot(request).await.expect("infallible");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

/// A pool on a real PostgreSQL with a server.
struct Watched {
    database: Database,
    pool: Pool<Postgres>,
    poolgate: Poolgate,
    app: Router,
}

impl Watched {
    async fn start(renderer: Prometheus) -> Self {
        let database = tokio::task::spawn_blocking(Database::start).await.expect("joined").expect("PostgreSQL");
        let mut settings = Settings::default();
        (settings.gate.max_concurrent_requests, settings.gate.max_queue) = (1, 0);
        settings.server.admin_token = Some(Secret::new(TOKEN));
        let cleanup = &mut settings.cleanup;
        (cleanup.revoke, cleanup.cancel, cleanup.terminate) = (true, true, true);
        (cleanup.revoke_after, cleanup.cancel_after, cleanup.terminate_after) = (SECOND, SECOND, SECOND);
        (cleanup.automatic, cleanup.manual_cooldown) = (false, SECOND);
        let pool = pool(&database.url("postgres"), None);
        let poolgate = Poolgate::builder(pool.clone()).settings(settings);
        let poolgate = poolgate.metrics(renderer).start();
        let work = {
            let pool = pool.clone();
            async move || {
                let _lease = pool.acquire().await.expect("a connection");
                sleep(Duration::from_millis(20)).await;
            }
        };
        let fails = get(async || StatusCode::INTERNAL_SERVER_ERROR);
        let app = Router::new().route("/work", get(work)).route("/fails", fails).layer(poolgate.gate());
        let app = poolgate_server::app(&poolgate, app);
        Self { database, pool, poolgate, app }
    }

    async fn lease(&self) -> Lease<Postgres> {
        self.pool.acquire().await.expect("a connection")
    }

    async fn metrics(&self) -> Metrics {
        Metrics::read(&send(self.poolgate.routes(), Request::get(routes::METRICS)).await.1)
    }

    /// Waits until a tick has published it.
    async fn eventually(&self, what: &str, condition: impl Fn(&Metrics) -> bool) {
        let begun = Instant::now();
        loop {
            let metrics = self.metrics().await;
            if condition(&metrics) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "not {what} within {PATIENCE:?}: {metrics:#?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn clean_up(&self) {
        let token = format!("Bearer {TOKEN}");
        let answer = send(self.app.clone(), Request::post(routes::FORCE_CLEANUP).header("authorization", token)).await;
        assert_eq!(answer.0, StatusCode::OK, "{}", answer.1);
    }
}

fn pool(url: &str, max_lifetime: Option<Duration>) -> Pool<Postgres> {
    let config = PoolConfig {
        size: 2,
        max_overflow: 1,
        acquire_timeout: Duration::from_millis(500),
        pre_ping_idle: Duration::ZERO,
        verify_timeout: Duration::from_millis(200),
        close_timeout: Duration::from_millis(200),
        max_lifetime,
        ..PoolConfig::default()
    };
    Pool::<Postgres>::builder(url.parse().expect("a URL"))
        .config(config)
        .postgres(PostgresSession::default())
        .build()
        .expect("a pool")
}

#[derive(Debug)]
struct Metrics(HashMap<String, f64>);

impl Metrics {
    fn read(text: &str) -> Self {
        let values = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        Self(values.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect())
    }

    /// The value of a metric, by its name and labels in text form.
    fn of(&self, name: &str) -> f64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no {name}: {self:#?}"))
    }

    /// The value of a metric of the pool.
    fn pool(&self, name: &str) -> f64 {
        self.of(&format!("{name}{{pool=\"main\"}}"))
    }

    fn connections(&self, state: &str) -> f64 {
        self.of(&format!("db_client_connection_count{{pool=\"main\",state=\"{state}\"}}"))
    }

    fn closed(&self, reason: &str) -> f64 {
        self.of(&format!("poolgate_connections_closed_total{{pool=\"main\",reason=\"{reason}\"}}"))
    }

    fn ended(&self, what: &str) -> f64 {
        self.of(&format!("poolgate_cleanup_ended_total{{what=\"{what}\"}}"))
    }
}

#[tokio::test]
async fn every_metric_says_what_was_done() {
    let watched = Watched::start(Prometheus::install().expect("the only one in this process")).await;

    // Three connections are opened and in use; one caller gives up, the next waits until one is returned.
    let three = [watched.lease().await, watched.lease().await, watched.lease().await];
    watched
        .eventually("full", |metrics| {
            let counts = (metrics.connections("used"), metrics.connections("idle"));
            counts == (3.0, 0.0) && metrics.of("poolgate_usage_ratio{of=\"pool\"}") == 1.0
        })
        .await;
    let waits = || tokio::spawn(watched.pool.acquire());
    let in_vain = waits();
    watched.eventually("waiting", |metrics| metrics.pool("db_client_connection_pending_requests") == 1.0).await;
    let error = in_vain.await.expect("joined").expect_err("all are in use");
    assert!(matches!(error, AcquireError::Timeout(_)), "{error}");
    let served = waits();
    sleep(HELD).await;
    watched
        .eventually("old", |metrics| metrics.pool("poolgate_oldest_checkout_age_seconds") > HELD.as_secs_f64())
        .await;
    drop(three);
    drop(served.await.expect("joined").expect("one came back")); // Surplus: two are idle already.

    watched.lease().await.discard(); // Broken.
    let idle = watched.lease().await;
    let pid = watched.pool.leases()[0].server_pid.expect("known");
    drop(idle);
    watched.database.sql("postgres", &format!("SELECT pg_terminate_backend({pid}, 5000)")).expect("ended");
    let mut cut_short = watched.lease().await; // The idle one was silent.
    timeout(Duration::from_millis(50), cut_short.execute("SELECT pg_sleep(10)")).await.expect_err("too short");
    drop(cut_short); // Dirty.
    watched.eventually("given up", |metrics| metrics.closed("dirty") == 1.0).await;
    drop(watched.lease().await);
    assert_eq!(watched.pool.dispose(), 1);

    // A lease, a statement and a session are ended; never more than two at once.
    let forgotten = watched.lease().await;
    let mut stuck = watched.lease().await;
    let stuck = tokio::spawn(async move { stuck.execute("SELECT pg_sleep(60)").await.map(drop) });
    let mut left_open = watched.lease().await;
    left_open.execute("BEGIN").await.expect("begun");
    sleep(SECOND * 11 / 10).await;
    watched.clean_up().await;
    stuck.await.expect("joined").expect_err("cancelled");
    sleep(SECOND * 11 / 10).await;
    watched.clean_up().await;
    drop((forgotten, left_open));

    // Eleven requests pass the gate one after another; a concurrent one does not.
    let request = || send(watched.app.clone(), Request::get("/work"));
    for _ in 0..10 {
        assert_eq!(request().await.0, StatusCode::OK);
    }
    let (passed, turned_away) = tokio::join!(request(), request());
    assert_eq!((passed.0, turned_away.0), (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(send(watched.app.clone(), Request::get("/fails")).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    watched.eventually("failed", |metrics| metrics.of("poolgate_failed_requests_total") == 1.0).await;
    watched
        .eventually("a forecast", |metrics| {
            let forecast = watched.poolgate.status().forecast.map_or(0.0, |forecast| forecast.arrivals_per_second);
            forecast > 0.0 && metrics.0.get("poolgate_forecast_requests_per_second") == Some(&forecast)
        })
        .await;

    let in_vain = match error {
        AcquireError::Timeout(diagnosis) => diagnosis.waited.as_secs_f64(),
        other => panic!("{other}"),
    };
    let sum = |metrics: &Metrics, of: &str| metrics.pool(&format!("db_client_connection_{of}_time_seconds_sum"));
    watched
        .eventually("as efficient as that", |metrics| {
            let used = sum(metrics, "use");
            let expected = used / (used + sum(metrics, "wait") + in_vain);
            (metrics.pool("poolgate_pool_efficiency_ratio") - expected).abs() < 1e-6
        })
        .await;
    // Two more pools with the same metrics: one whose connections age, and one whose address leads nowhere.
    let aging = pool(&watched.database.url("postgres"), Some(Duration::from_millis(50)));
    Poolgate::builder(aging.clone()).start().close();
    drop(aging.acquire().await.expect("a connection"));
    sleep(Duration::from_millis(60)).await;
    drop(aging.acquire().await.expect("another: the first was recycled"));
    aging.drain(PATIENCE).await;
    let nowhere = pool("postgres://nobody@127.0.0.1:1/nothing", None);
    Poolgate::builder(nowhere.clone()).start().close();
    nowhere.acquire().await.expect_err("the port is closed");
    watched.poolgate.shutdown(PATIENCE).await;

    let metrics = watched.metrics().await;
    let mut opened = 10.0;
    assert_eq!(metrics.pool("poolgate_connections_opened_total"), opened);
    assert_eq!(metrics.pool("db_client_connection_create_time_seconds_count"), opened);
    for (reason, count) in [
        ("surplus", 1.0),
        ("recycled", 1.0),
        ("disposed", 1.0),
        ("dirty", 1.0),
        ("broken", 1.0),
        ("silent", 1.0),
        ("revoked", 2.0),
        ("pool_closed", 2.0),
    ] {
        assert_eq!(metrics.closed(reason), count, "{reason}");
        opened -= count;
    }
    assert_eq!(opened, 0.0, "each opened connection was closed, for one reason");
    assert_eq!(metrics.pool("poolgate_connections_failed_total"), 1.0);
    assert_eq!(metrics.pool("db_client_connection_timeouts_total"), 1.0);
    for of in ["wait", "use"] {
        assert_eq!(metrics.pool(&format!("db_client_connection_{of}_time_seconds_count")), 24.0, "{of}");
    }
    assert!(sum(&metrics, "wait") >= HELD.as_secs_f64() && sum(&metrics, "create") > 0.0);
    assert!(sum(&metrics, "use") >= 3.0 * HELD.as_secs_f64() + 11.0 * 0.02);
    for what in ["lease", "statement", "session"] {
        assert_eq!(metrics.ended(what), 1.0, "{what}");
    }
    assert_eq!(metrics.of("poolgate_cleanup_runs_total{trigger=\"manual\",outcome=\"freed\"}"), 2.0);
    assert_eq!(metrics.of("poolgate_requests_total{outcome=\"admitted\"}"), 12.0);
    assert_eq!(metrics.of("poolgate_requests_total{outcome=\"rejected\"}"), 1.0);
}
