//! The lab: a route that holds a connection for a given time, and users that call it.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    routing::{MethodRouter, get},
};
use http::StatusCode;
use poolgate_pool::Lease;
use poolgate_server::GATED_TAG;
use poolgate_types::{Percentiles, Problem};
use serde::{Deserialize, Serialize};
use sqlx::Any;
use tokio::{sync::Mutex, time};
use tokio_util::sync::CancellationToken;

use super::{
    Demo, data,
    failure::Failure,
    load::{Load, LoadReport, LoadRequest, LoadState},
    routes,
};
use crate::address::reachable;

const DEFAULT_HOLD_MS: u64 = 200;
const LONGEST_HOLD_MS: u64 = 10_000;

/// The load of a server; one at a time.
#[derive(Clone, Debug)]
pub(super) struct Lab {
    target: SocketAddr,
    shutdown: CancellationToken,
    load: Arc<Mutex<Option<Load>>>,
}

/// The route that uses the database.
pub(super) fn gated_route() -> (&'static str, MethodRouter<Demo>) {
    (routes::LAB_HOLD, get(hold))
}

/// The route that does not.
pub(super) fn open_route() -> (&'static str, MethodRouter<Demo>) {
    (routes::LAB_LOAD, get(report).post(start).delete(stop))
}

impl Lab {
    pub(super) fn new(address: SocketAddr, shutdown: CancellationToken) -> Self {
        Self { target: reachable(address), shutdown, load: Arc::default() }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Hold {
    /// Hold time in milliseconds.
    #[serde(default = "default_hold_ms")]
    #[param(maximum = 10000, example = 1)]
    hold_ms: u64,
}

const fn default_hold_ms() -> u64 {
    DEFAULT_HOLD_MS
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Held {
    hold_ms: u64,
    /// The time for which the connection was actually held.
    held_ms: f64,
}

/// Holds one connection for a given time.
#[utoipa::path(
    get,
    path = routes::LAB_HOLD,
    tag = GATED_TAG,
    params(Hold),
    responses(
        (status = 200, description = "The connection was held", body = Held),
        (status = 400, description = "An invalid time", body = Problem),
    )
)]
pub(super) async fn hold(
    State(demo): State<Demo>,
    query: Result<Query<Hold>, QueryRejection>,
) -> Result<Json<Held>, Failure> {
    let Query(Hold { hold_ms }) =
        query.map_err(|rejection| Failure::Malformed(rejection.status(), rejection.body_text()))?;
    if hold_ms > LONGEST_HOLD_MS {
        let detail = format!("`hold_ms` must be from 0 to {LONGEST_HOLD_MS}.");
        return Err(Failure::Malformed(StatusCode::BAD_REQUEST, detail));
    }
    let mut connection = demo.connection().await?;
    let started = Instant::now();
    occupy(&mut connection, Duration::from_millis(hold_ms)).await?;
    Ok(Json(Held { hold_ms, held_ms: started.elapsed().as_secs_f64() * 1000.0 }))
}

/// Keeps a connection busy: PostgreSQL sleeps; SQLite cannot, so its connection is held after a query.
async fn occupy(connection: &mut Lease<Any>, duration: Duration) -> sqlx::Result<()> {
    if data::is_postgres(connection) {
        sqlx::query("SELECT pg_sleep($1)").bind(duration.as_secs_f64()).execute(connection).await?;
    } else {
        let started = Instant::now();
        sqlx::query("SELECT COUNT(*) FROM products WHERE category = $1").bind("home").execute(connection).await?;
        time::sleep(duration.saturating_sub(started.elapsed())).await;
    }
    Ok(())
}

/// The report of the current or last load.
#[utoipa::path(
    get,
    path = routes::LAB_LOAD,
    tag = "lab",
    responses((status = 200, description = "The report", body = LoadReport))
)]
pub(super) async fn report(State(demo): State<Demo>) -> Json<LoadReport> {
    let load = demo.lab.load.lock().await;
    Json(load.as_ref().map_or_else(idle, Load::report))
}

/// Starts a load: 202 with its first report, 409 while another one is running.
#[utoipa::path(
    post,
    path = routes::LAB_LOAD,
    tag = "lab",
    request_body = LoadRequest,
    responses(
        (status = 202, description = "The first report", body = LoadReport),
        (status = 400, description = "The body is not JSON, or a value is out of range", body = Problem),
        (status = 409, description = "Another load is running", body = Problem),
        (status = 415, description = "The content type is not JSON", body = Problem),
        (status = 422, description = "A member is missing, unknown or of the wrong type", body = Problem),
    )
)]
pub(super) async fn start(
    State(demo): State<Demo>,
    request: Result<Json<LoadRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<LoadReport>), Failure> {
    let Json(request) = request.map_err(|rejection| Failure::Malformed(rejection.status(), rejection.body_text()))?;
    let mut load = demo.lab.load.lock().await;
    if load.as_ref().is_some_and(Load::is_running) {
        let detail = "A load is running; DELETE stops it.".to_owned();
        return Err(Failure::Conflict("load_running", detail));
    }
    let seed = jiff::Timestamp::now().as_nanosecond() as u64;
    let started = Load::start(demo.lab.target, request, seed, &demo.lab.shutdown)
        .map_err(|error| Failure::Malformed(StatusCode::BAD_REQUEST, error.to_string()))?;
    let report = started.report();
    *load = Some(started);
    Ok((StatusCode::ACCEPTED, Json(report)))
}

/// Stops the load, if one is running, and returns its last report.
#[utoipa::path(
    delete,
    path = routes::LAB_LOAD,
    tag = "lab",
    responses((status = 200, description = "The last report", body = LoadReport))
)]
pub(super) async fn stop(State(demo): State<Demo>) -> Json<LoadReport> {
    let load = demo.lab.load.lock().await;
    match load.as_ref() {
        Some(load) => {
            load.stop().await;
            Json(load.report())
        }
        None => Json(idle()),
    }
}

/// The report before the first load.
fn idle() -> LoadReport {
    LoadReport {
        state: LoadState::Idle,
        request: None,
        elapsed_seconds: 0.0,
        wanted: 0,
        sent: 0,
        succeeded: 0,
        rejected: 0,
        given_up: 0,
        failed: 0,
        queued: 0,
        success_rate: 1.0,
        goodput_per_second: 0.0,
        latency_ms: Percentiles::default(),
    }
}
