//! Tests the database over a connection of its own, so that it works while the pool is exhausted.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use poolgate_types::{Backend, Problem};
use serde::Serialize;
use tokio::{sync::Mutex, time};

use crate::{Poolgate, monitor::Failure, problem, watched::WatchedPool};

/// Time limit of a test.
const LIMIT: Duration = Duration::from_secs(2);
/// How long an answer is cached.
const CACHED: Duration = Duration::from_secs(1);

/// Runs one test at a time and caches its answer: the database is asked at most once a second.
#[derive(Debug, Default)]
pub(crate) struct ConnectionTest(Mutex<Option<(Instant, Outcome)>>);

type Outcome = Result<Answer, String>;

/// The database answered.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Answer {
    /// Always `true`.
    ok: bool,
    /// The kind of database.
    backend: Backend,
    /// From the start of the connect to the answer, in milliseconds.
    latency_ms: f64,
    /// The database server's version.
    server_version: String,
}

/// Opens a connection, asks for the server's version and closes the connection.
#[utoipa::path(
    get,
    path = poolgate_types::routes::CONNECTION_TEST,
    tag = "health",
    responses(
        (status = 200, description = "The database answers", body = Answer),
        (status = 503, description = "The database does not answer within 2 s; `detail` says why", body = Problem),
    )
)]
pub(super) async fn connection_test(State(poolgate): State<Poolgate>) -> Response {
    // A caller that vanishes must not abort the test for the others that wait for it.
    let shared = std::sync::Arc::clone(poolgate.shared());
    let outcome = tokio::spawn(async move { shared.connection_test.run(&*shared.pool).await })
        .await
        .unwrap_or_else(|_| Err("the test was aborted".to_owned()));
    let mut response = match outcome {
        Ok(answer) => Json(answer).into_response(),
        Err(reason) => {
            let detail = format!("The connection test failed: {reason}.");
            problem::with_retry_after(problem::unavailable(detail), 1)
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl ConnectionTest {
    async fn run(&self, pool: &dyn WatchedPool) -> Outcome {
        let mut newest = self.0.lock().await;
        if let Some((at, outcome)) = &*newest
            && at.elapsed() < CACHED
        {
            return outcome.clone();
        }
        let outcome = time::timeout(LIMIT, ask(pool))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", LIMIT.as_secs())));
        *newest = Some((Instant::now(), outcome.clone()));
        outcome
    }
}

async fn ask(pool: &dyn WatchedPool) -> Outcome {
    let begun = Instant::now();
    let mut connection = pool.dedicated_connection(LIMIT).await.map_err(|error| reason(&*error))?;
    let version = connection.server_version().await.map_err(|error| reason(&error))?;
    let latency_ms = begun.elapsed().as_secs_f64() * 1000.0;
    let backend = connection.backend();
    connection.close().await;
    Ok(Answer { ok: true, backend, latency_ms, server_version: version })
}

/// Maps the database's error. The log already has it once; frequent callers must not fill it.
fn reason(error: &(dyn Error + Send + Sync + 'static)) -> String {
    let Failure { cause, .. } = Failure::of_connect(error);
    tracing::debug!(%cause, "Database connection test failed");
    cause.to_string()
}
