//! Cleans the pool up when asked: the safe steps for anybody, those that are opted in for the admin.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use poolgate_types::{CleanupReport, Problem, codes};
use subtle::ConstantTimeEq;

use std::{sync::Arc, time::Duration};

use super::guesses::Guess;
use crate::{
    Poolgate,
    monitor::cleanup::{CoolingDown, Reach},
    problem,
    settings::Secret,
};

/// Observes, closes surplus idle connections, names suspiciously old leases; with the admin token also revokes leases,
/// cancels statements and ends sessions, as far as that is opted in. Once in 10 s without the token, and once with it; ten
/// wrong tokens a minute from one address are answered, then none is.
#[utoipa::path(
    post,
    path = poolgate_types::routes::FORCE_CLEANUP,
    tag = "health",
    security((), ("admin_token" = [])),
    responses(
        (status = 200, description = "What it did", body = CleanupReport),
        (status = 401, description = "A wrong token", body = Problem),
        (status = 403, description = "A request from another site", body = Problem),
        (status = 429, description = "One ran a moment ago, or too many wrong tokens came", body = Problem),
        (status = 503, description = "It was cut off by the server's end", body = Problem),
    )
)]
pub(super) async fn force_cleanup(
    State(poolgate): State<Poolgate>,
    extensions: Extensions,
    headers: HeaderMap,
) -> Response {
    let shared = Arc::clone(poolgate.shared());
    let reach = reach(&headers, poolgate.settings().server.admin_token.as_ref());
    // Whoever guesses is told nothing any more, not even that a guess was right.
    if headers.contains_key(header::AUTHORIZATION) {
        let sender = shared.proxies.sender(&extensions, &headers).map(|sender| sender.address);
        match shared.guesses.judge(sender, reach.is_ok(), shared.uptime()) {
            Guess::Counts { log } if reach.is_err() => return unauthorized(log),
            Guess::Counts { .. } => {}
            Guess::TooMany { wait } => return too_many_guesses(wait),
        }
    }
    let Ok(reach) = reach else { return unauthorized(false) };
    let mut response = match shared.cleaner.admit_manual(reach) {
        Ok(admitted) => {
            // In a task of its own: it goes on when whoever asked has left.
            let run = tokio::spawn(async move { shared.cleaner.run(&*shared.pool, admitted).await });
            match run.await {
                Ok(report) => Json(report).into_response(),
                Err(_cut_off) => problem::response(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "cleanup_cut_off",
                    "Service Unavailable",
                    "The cleanup was cut off by the server's end.",
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

/// No token: the safe steps. The right one: all. Anything else is an attempt.
fn reach(headers: &HeaderMap, token: Option<&Secret>) -> Result<Reach, ()> {
    let Some(given) = headers.get(header::AUTHORIZATION) else { return Ok(Reach::Safe) };
    let token = token.ok_or(())?;
    let (scheme, given) = given.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(())?;
    // Takes equally long however much of the token is right.
    let right = given.trim().as_bytes().ct_eq(token.expose().as_bytes());
    if scheme.eq_ignore_ascii_case("bearer") && bool::from(right) { Ok(Reach::OptedIn) } else { Err(()) }
}

fn too_many_guesses(wait: Duration) -> Response {
    let seconds = wait.as_secs_f64().ceil() as u64;
    problem::too_many("too_many_guesses", "Too many wrong tokens came from this address.", seconds)
}

fn unauthorized(log: bool) -> Response {
    if log {
        tracing::warn!("Connection pool cleanup refused: wrong token");
    }
    let mut response = problem::response(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "Unauthorized",
        "The token is wrong, or none is set (server.admin_token). Without a token the safe steps run.",
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
    fn only_the_right_token_reaches_further() {
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
