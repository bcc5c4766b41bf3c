//! Runs a cleanup on request: the safe steps for everyone, the enabled further steps for the admin.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use poolgate_types::{CleanupReport, CleanupTrigger, Problem, codes};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use std::{sync::Arc, time::Duration};

use super::guesses::Guess;
use crate::{
    Poolgate,
    monitor::cleanup::{CoolingDown, Reach},
    problem,
    settings::Secret,
};

/// Query parameters.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wishes {
    /// `client` if a client asks on its own; the report then says so. Default: a person asks.
    trigger: Option<String>,
}

/// Observes, closes surplus idle connections and names suspiciously old leases. With the admin token also revokes
/// leases, cancels statements and ends sessions, if these steps are enabled. Runs once in 10 s without the token, and
/// once with it. Ten wrong tokens a minute from one address get 401, further ones 429.
#[utoipa::path(
    post,
    path = poolgate_types::routes::FORCE_CLEANUP,
    tag = "health",
    params(Wishes),
    security((), ("admin_token" = [])),
    responses(
        (status = 200, description = "The report", body = CleanupReport),
        (status = 401, description = "A wrong token", body = Problem),
        (status = 403, description = "A request from another site", body = Problem),
        (status = 429, description = "A cleanup ran a moment ago, or too many wrong tokens arrived", body = Problem),
        (status = 503, description = "The server's shutdown aborted it", body = Problem),
    )
)]
pub(super) async fn force_cleanup(
    State(poolgate): State<Poolgate>,
    wishes: Result<Query<Wishes>, QueryRejection>,
    extensions: Extensions,
    headers: HeaderMap,
) -> Response {
    let by_client =
        wishes.is_ok_and(|Query(wishes)| wishes.trigger.as_deref() == Some(CleanupTrigger::Client.as_str()));
    let trigger = if by_client { CleanupTrigger::Client } else { CleanupTrigger::Manual };
    let shared = Arc::clone(poolgate.shared());
    let reach = reach(&headers, poolgate.settings().server.admin_token.as_ref());
    // After too many guesses every token gets this answer, so that a right guess stays unknown.
    if headers.contains_key(header::AUTHORIZATION) {
        let sender = shared.proxies.sender(&extensions, &headers).map(|sender| sender.address);
        match shared.guesses.judge(sender, reach.is_ok(), shared.uptime()) {
            Guess::Counts { log } if reach.is_err() => return unauthorized(log),
            Guess::Counts { .. } => {}
            Guess::TooMany { wait } => return too_many_guesses(wait),
        }
    }
    let Ok(reach) = reach else { return unauthorized(false) };
    let mut response = match shared.cleaner.admit_requested(trigger, reach) {
        Ok(admitted) => {
            // In a task of its own, which continues when the caller disconnects.
            let run = tokio::spawn(async move { shared.cleaner.run(&*shared.pool, admitted).await });
            match run.await {
                Ok(report) => Json(report).into_response(),
                Err(_cut_off) => problem::response(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "cleanup_cut_off",
                    "Service Unavailable",
                    "The server's shutdown aborted the cleanup.",
                ),
            }
        }
        Err(CoolingDown { remaining }) => {
            let seconds = remaining.as_secs_f64().ceil() as u64;
            let detail = format!("A cleanup ran a moment ago; the next may run in {seconds} s.");
            problem::too_many(codes::CLEANUP_COOLDOWN, detail, seconds)
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Without a token: the safe steps. With the right one: all. Anything else is a wrong guess.
fn reach(headers: &HeaderMap, token: Option<&Secret>) -> Result<Reach, ()> {
    let Some(given) = headers.get(header::AUTHORIZATION) else { return Ok(Reach::Safe) };
    let token = token.ok_or(())?;
    let (scheme, given) = given.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(())?;
    // Takes equally long for every wrong token.
    let right = given.trim().as_bytes().ct_eq(token.expose().as_bytes());
    if scheme.eq_ignore_ascii_case("bearer") && bool::from(right) { Ok(Reach::OptedIn) } else { Err(()) }
}

fn too_many_guesses(wait: Duration) -> Response {
    let seconds = wait.as_secs_f64().ceil() as u64;
    problem::too_many("too_many_guesses", "Too many wrong tokens arrived from this address.", seconds)
}

fn unauthorized(log: bool) -> Response {
    if log {
        tracing::warn!("Connection pool cleanup refused: the token is wrong");
    }
    let mut response = problem::response(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "Unauthorized",
        "The token is wrong, or server.admin_token is not set. Requests without a token run the safe steps.",
    );
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach_with(authorization: Option<&str>, token: Option<&str>) -> Result<Reach, ()> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().expect("a header value"));
        }
        reach(&headers, token.map(Secret::new).as_ref())
    }

    #[test]
    fn only_the_right_token_allows_further_steps() {
        let token = Some("correct horse battery");
        assert_eq!(reach_with(None, token), Ok(Reach::Safe));
        assert_eq!(reach_with(Some("Bearer correct horse battery"), token), Ok(Reach::OptedIn));
        assert_eq!(reach_with(Some("bearer correct horse battery"), token), Ok(Reach::OptedIn));
        for wrong in ["Bearer correct horse", "Bearer ", "Basic correct horse battery", "correct", ""] {
            assert_eq!(reach_with(Some(wrong), token), Err(()), "{wrong}");
        }
        assert_eq!(reach_with(Some("Bearer anything"), None), Err(()), "no token is set");
    }
}
