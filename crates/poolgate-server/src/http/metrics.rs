//! The metrics as Prometheus text.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use poolgate_types::Problem;

use crate::{Poolgate, problem};

/// All metrics; every counter exists from the start.
#[utoipa::path(
    get,
    path = poolgate_types::routes::METRICS,
    tag = "operations",
    responses(
        (status = 200, description = "Prometheus text", body = String, content_type = "text/plain"),
        (status = 404, description = "This process has no Prometheus exporter", body = Problem),
    )
)]
pub(super) async fn metrics(State(poolgate): State<Poolgate>) -> Response {
    match &poolgate.shared().metrics {
        Some(metrics) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render()).into_response()
        }
        None => problem::response(
            StatusCode::NOT_FOUND,
            "not_found",
            "No metrics here",
            "This process has no Prometheus exporter.",
        ),
    }
}
