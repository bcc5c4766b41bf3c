//! Whether this process should get traffic.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use poolgate_types::Problem;
use serde::Serialize;

use crate::{Poolgate, problem};

/// 200 from the end of the start-up work and the first answer of the database until the shutdown begins; 503 also while
/// the database has been unusable for longer than `monitor.unready_after`.
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
