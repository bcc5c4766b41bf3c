//! Whether the process is alive. Uses no lock, no pool and no database.

use axum::{Json, extract::State, response::IntoResponse};
use http::header;
use poolgate_types::Ping;

use crate::Poolgate;

/// The process is alive.
#[utoipa::path(
    get,
    path = poolgate_types::routes::PING,
    tag = "health",
    responses((status = 200, description = "The process is alive", body = Ping))
)]
pub(super) async fn ping(State(poolgate): State<Poolgate>) -> impl IntoResponse {
    alive(&poolgate)
}

/// The same for orchestrators; never depends on the database.
#[utoipa::path(
    get,
    path = poolgate_types::routes::LIVEZ,
    tag = "operations",
    responses((status = 200, description = "The process is alive", body = Ping))
)]
pub(super) async fn livez(State(poolgate): State<Poolgate>) -> impl IntoResponse {
    alive(&poolgate)
}

fn alive(poolgate: &Poolgate) -> impl IntoResponse + use<> {
    let ping = Ping {
        status: "pass".to_owned(),
        service: "poolgate".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: poolgate.shared().uptime().as_secs(),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(ping))
}
