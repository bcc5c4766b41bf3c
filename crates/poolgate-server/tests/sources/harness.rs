//! A server that watches a source.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use poolgate_server::{Poolgate, Settings, WatchedPool};
use poolgate_test_harness::sources::options;
use serde_json::Value;
use sqlx::{ConnectOptions, Executor, raw_sql};
use tokio::task::JoinHandle;
use tower::ServiceExt;

/// A client that runs a statement in the background.
pub(crate) fn run(url: &str, statement: &'static str) -> JoinHandle<()> {
    let options = options(url);
    tokio::spawn(async move {
        // Statements that last for the whole test are aborted at its end.
        if let Ok(mut connection) = options.connect().await {
            let _ = connection.execute(raw_sql(statement)).await;
        }
    })
}

/// A Poolgate that watches this source.
pub(crate) fn watch(source: impl WatchedPool) -> Poolgate {
    Poolgate::builder(source).settings(Settings::default()).start()
}

/// The answer of a health route.
pub(crate) async fn ask(poolgate: &Poolgate, path: &str) -> Value {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = poolgate.routes().oneshot(request).await.expect("infallible");
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&body).expect("JSON")
}

/// The message for a source that cannot be read, with its advice.
pub(crate) async fn trouble(source: &impl WatchedPool) -> String {
    source.refresh().expect("elsewhere").await;
    source.connect_history().error.expect("it cannot be read").to_string()
}
