//! Should this process get traffic?

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use poolgate_types::Problem;
use serde::Serialize;

use crate::{Poolgate, problem};

/// Ready after the start-up work and the database's first sign of life, until the shutdown begins; not while nobody has been
/// able to use the database for `monitor.unready_after`.
#[utoipa::path(
    get,
    path = poolgate_types::routes::READYZ,
    tag = "operations",
    responses(
        (status = 200, description = "Send traffic", body = Ready),
        (status = 503, description = "Starting, shutting down, or without its database; `detail` says why", body = Problem),
    )
)]
pub(super) async fn readyz(State(poolgate): State<Poolgate>) -> Response {
    let mut response = match poolgate.readiness().missing() {
        None => Json(Ready { status: "pass" }).into_response(),
        Some(missing) => problem::with_retry_after(
            problem::response(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "Not ready", missing),
            1,
        ),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The process should get traffic.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Ready {
    /// Always `pass`.
    status: &'static str,
}
