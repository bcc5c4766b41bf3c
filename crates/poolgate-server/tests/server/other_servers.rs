//! A server that serves one config with others, with anything between them.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body, routing::get};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use poolgate_control::{
    Settings, Thresholds,
    cluster::{Elsewhere, Own, Peers, Said},
};
use poolgate_pool::{Pool, sqlite_options};
use poolgate_server::Poolgate;
use poolgate_test_harness::{Server, eventually};
use poolgate_types::{ClusterStatus, ConfigSource, ConfigVersion, ThrottlingConfig, routes};
use sqlx::Sqlite;
use tempfile::TempDir;
use tower::ServiceExt;

/// Others that say what the test says.
#[derive(Clone, Debug)]
struct Others(Arc<Mutex<Said>>);

impl Others {
    fn say(&self, said: Said) {
        *self.0.lock().expect("no panic") = said;
    }
}

impl Peers for Others {
    fn begin(&self, _: Settings, _: u64, _: u64) {}

    fn set_thresholds(&self, _: Thresholds) {}

    fn tick(&self, own: Own<'_>) -> Said {
        assert!(own.sample.gate.permits > 0);
        self.0.lock().expect("no panic").clone()
    }

    fn elsewhere(&self) -> Arc<Elsewhere> {
        Arc::default()
    }

    fn status(&self) -> ClusterStatus {
        ClusterStatus {
            replica: "00c0ffee".to_owned(),
            config: ConfigSource::Shared,
            share: 1,
            is_static: false,
            store_trouble: None,
            members: Vec::new(),
        }
    }
}

fn server(others: &Others) -> Server {
    let folder = TempDir::new().expect("a folder");
    let pool = Pool::<Sqlite>::builder(sqlite_options(folder.path().join("test.db"))).build().expect("a pool");
    let poolgate = Poolgate::builder(pool.clone()).peers(others.clone()).start();
    let own = Router::new().route("/orders", get(|| async { "orders" })).layer(poolgate.gate());
    let app = poolgate_server::app(&poolgate, own);
    Server::new(poolgate, pool, app, folder)
}

#[tokio::test]
async fn it_says_nothing_before_it_has_heard_the_others_and_then_what_they_say() {
    let others = Others(Arc::new(Mutex::new(Said::Nothing)));
    let server = server(&others);
    // The monitor has ticked when the database has answered.
    let missing = || server.poolgate.readiness().missing().unwrap_or_default();
    eventually("the database has answered", || missing().contains("still starting")).await;
    assert!(missing().contains("the config of the other replicas"), "{}", missing());
    let unknown = server.get(routes::THROTTLING_CONFIG).await;
    assert_eq!((unknown.status, unknown.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    let served = server.get("/orders").await;
    assert_eq!((served.status, served.header("poolgate-config")), (StatusCode::OK, ""));
    let request = Request::get(routes::EVENTS).header("host", "localhost").body(Body::empty()).expect("a request");
    let mut stream = server.app.clone().oneshot(request).await.expect("infallible").into_body();
    let mut next = async || {
        let frame = stream.frame().await.expect("a frame").expect("no error").into_data().expect("data");
        String::from_utf8(frame.to_vec()).expect("text")
    };
    let first = next().await;
    assert!(first.starts_with("retry: ") && !first.contains("event"), "{first}");

    let mut config = ThrottlingConfig::normal(ConfigVersion { epoch: 7, version: 65 });
    (config.enforced, config.fair_rate_per_second) = (true, Some(2.4390243902439024));
    others.say(Said::Shared(config.clone()));
    assert!(next().await.contains("\"version\":65,"));
    eventually("ready", || server.poolgate.readiness().missing().is_none()).await;
    let known = server.get(routes::THROTTLING_CONFIG).await;
    assert_eq!(known.body, serde_json::to_string(&config).expect("JSON"));
    assert_eq!(known.header("etag"), "\"7-65\"");
    let served = server.get("/orders").await;
    assert!(served.header("poolgate-config").starts_with("e=7, v=65,"), "{}", served.header("poolgate-config"));
    assert!(served.headers.contains_key("ratelimit-policy"), "the limit is in force here as well");

    others.say(Said::Own);
    eventually("alone", || server.poolgate.config().epoch != 7).await;
    let alone = server.poolgate.config();
    assert!(alone.epoch.is_multiple_of(2) && alone.version > 0, "{alone:?}");
    let status = server.get(routes::STATUS).await.json();
    assert_eq!(status["cluster"]["replica"], "00c0ffee");
}
