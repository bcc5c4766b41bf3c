//! The history document, from memory: reading it causes no query.

use std::time::Duration;

use axum::{
    Json,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use poolgate_types::History;
use serde::Deserialize;

use crate::{Poolgate, problem};

/// The longest span that is kept, in seconds.
const LONGEST: u32 = 6 * 60 * 60;
const DEFAULT: u32 = 15 * 60;

/// How far back.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Span {
    /// Seconds until now, 1 to 21,600. Up to 900 the steps are of a second, otherwise of half a minute. Default: 900.
    #[param(minimum = 1, maximum = 21_600)]
    seconds: Option<u32>,
}

/// The last minutes or hours: levels, pool, waits and rates in steps, and what happened.
#[utoipa::path(
    get,
    path = poolgate_types::routes::HISTORY,
    tag = "health",
    params(Span),
    responses(
        (status = 200, description = "Samples and events, oldest first", body = History),
        (status = 400, description = "`seconds` is no number from 1 to 21,600", body = poolgate_types::Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn history(
    State(poolgate): State<Poolgate>,
    span: Result<Query<Span>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let seconds =
        span.ok().map(|Query(span)| span.seconds.unwrap_or(DEFAULT)).filter(|span| (1..=LONGEST).contains(span));
    let Some(seconds) = seconds else {
        return problem::response(
            StatusCode::BAD_REQUEST,
            "invalid_span",
            "Invalid span",
            "The parameter seconds must be a whole number from 1 to 21600.",
        );
    };
    let shared = poolgate.shared();
    let document = shared.history.document(Duration::from_secs(seconds.into()), shared.uptime());
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(document)).into_response()
}
