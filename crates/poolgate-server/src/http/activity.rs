//! The activity document, from memory: reading it causes no query.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use poolgate_types::Activity;

use crate::Poolgate;

/// Who and what uses the pool: routes, connections in use and clients, the worst first. It is made once a second.
#[utoipa::path(
    get,
    path = poolgate_types::routes::ACTIVITY,
    tag = "health",
    responses((status = 200, description = "Routes, connections in use and clients", body = Activity))
)]
pub(super) async fn activity(State(poolgate): State<Poolgate>) -> Response {
    let json = poolgate.shared().published.activity();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, json).into_response()
}
