//! Limits the time until a response's head. Bodies, such as event streams, may take longer; their number is limited.

use std::time::Duration;

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
};
use http::StatusCode;

use crate::problem;

/// Answers 504 if there is no head within `limit`.
pub(in crate::http) fn bound_time(router: Router, limit: Duration) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| async move {
        tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
            problem::response(
                StatusCode::GATEWAY_TIMEOUT,
                "request_timeout",
                "Request timeout",
                format!("No answer within {} s (server.request_timeout).", limit.as_secs_f64()),
            )
        })
    }))
}
