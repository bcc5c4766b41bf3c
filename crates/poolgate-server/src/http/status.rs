//! The status document, from one published snapshot: reading it causes no query.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use poolgate_types::{Problem, Status};
use serde::Serialize;

use crate::{Poolgate, problem};

/// The status; 503 only if the database does not answer, with the same members.
#[utoipa::path(
    get,
    path = poolgate_types::routes::STATUS,
    tag = "health",
    responses(
        (status = 200, description = "The database answers, however busy it is", body = Status),
        (status = 503, description = "The database does not answer", body = SilentStatus,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn status(State(poolgate): State<Poolgate>) -> Response {
    let document = poolgate.shared().published.status();
    let mut response = match &document.trouble {
        None => ([(header::CONTENT_TYPE, "application/json")], document.json.clone()).into_response(),
        Some(trouble) => {
            let problem = problem::unavailable_problem(format!("{}; the server keeps trying.", sentence(trouble)));
            let merged = SilentStatus { problem, status: document.status.clone() };
            let retry_after = 1 + poolgate.shared().jitter.below(3);
            problem::with_retry_after(problem::document(StatusCode::SERVICE_UNAVAILABLE, &merged), retry_after)
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A problem document with the members of the status.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct SilentStatus {
    #[serde(flatten)]
    problem: Problem,
    #[serde(flatten)]
    status: Status,
}

fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}
