//! The metrics of an app, over HTTP.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use poolgate_server::{
    AppMetrics,
    settings::{WatchTarget, WatchUrl},
};
use poolgate_test_harness::eventually;
use poolgate_types::{AlertKind, CircuitState};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::harness::watch;

type Shown = Arc<Mutex<(StatusCode, String, Duration)>>;

/// An app that shows this at `/metrics`, after a pause.
async fn app(text: &str) -> (SocketAddr, Shown, JoinHandle<()>) {
    let shown: Shown = Arc::new(Mutex::new((StatusCode::OK, text.to_owned(), Duration::ZERO)));
    let answer = Arc::clone(&shown);
    let metrics = get(move || async move {
        let (status, text, pause) = answer.lock().expect("whole").clone();
        tokio::time::sleep(pause).await;
        (status, text)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let served = tokio::spawn(async move {
        let _ = axum::serve(listener, Router::new().route("/metrics", metrics)).await;
    });
    (address, shown, served)
}

fn source(address: SocketAddr, path: &str) -> AppMetrics {
    let url = WatchUrl::new(format!("metrics+http://{address}{path}")).expect("a URL");
    match url.parse().expect("a URL") {
        WatchTarget::Metrics(address) => AppMetrics::new(address),
        other => panic!("{other:?}"),
    }
}

fn hikari(active: u32, pending: u32) -> String {
    format!(
        "hikaricp_connections_active{{pool=\"main\",}} {active}.0\nhikaricp_connections_idle{{pool=\"main\",}} 1.0\n\
         hikaricp_connections_max{{pool=\"main\",}} 10.0\nhikaricp_connections_pending{{pool=\"main\",}} {pending}.0\n"
    )
}

#[tokio::test]
async fn the_pools_own_waiting_is_known() {
    let (address, shown, _app) = app(&hikari(9, 12)).await;
    let poolgate = watch(source(address, "/metrics"));
    let pool = || {
        let pool = poolgate.status().pool;
        (pool.capacity, pool.checked_out, pool.idle, pool.waiting)
    };
    eventually("read", || pool() == (10, 9, 1, Some(12))).await;
    eventually("ready", || poolgate.readiness().missing().is_none()).await;
    shown.lock().expect("whole").1 = hikari(2, 0);
    eventually("read again", || pool() == (10, 2, 1, Some(0))).await;
}

#[tokio::test]
async fn a_busy_or_wrong_answer_is_named_and_is_no_outage() {
    let (address, shown, _app) = app("up 1\n").await;
    let poolgate = watch(source(address, ""));
    let said = |part: &str| {
        let alerts = poolgate.status().alerts;
        let found = alerts.iter().find(|alert| alert.kind == AlertKind::PartialView);
        found.is_some_and(|alert| alert.message.contains(part))
    };
    eventually("the names are unknown", || said("watch.metrics.in_use")).await;
    shown.lock().expect("whole").1 = "<html>".to_owned();
    eventually("it is no Prometheus", || said("line 1")).await;
    shown.lock().expect("whole").1 = "a 1\n".repeat(3 << 20);
    eventually("it is too long", || said("cannot be read")).await;
    shown.lock().expect("whole").0 = StatusCode::NOT_FOUND;
    eventually("it is not there", || said("404")).await;
    *shown.lock().expect("whole") = (StatusCode::OK, hikari(10, 50), Duration::from_secs(4));
    eventually("it is late", || said("within 2 s")).await;
    assert_eq!(poolgate.status().circuit_breaker, CircuitState::Closed);
    *shown.lock().expect("whole") = (StatusCode::OK, hikari(3, 0), Duration::ZERO);
    eventually("read", || poolgate.status().pool.checked_out == 3 && poolgate.status().alerts.is_empty()).await;
}

#[tokio::test]
async fn an_app_that_is_gone_opens_the_breaker() {
    let (address, _, app) = app(&hikari(1, 0)).await;
    let poolgate = watch(source(address, "/metrics"));
    eventually("ready", || poolgate.readiness().missing().is_none()).await;
    app.abort();
    eventually("open", || poolgate.config().circuit_breaker_open).await;
}
