//! The HTTP interface: the health routes for any app, and the router of a standalone server.

mod activity;
mod app;
mod connection_test;
mod cors;
mod events;
mod force_cleanup;
mod guesses;
mod history;
mod metrics;
mod openapi;
mod ping;
mod readyz;
mod security;
mod status;
mod throttling_config;

use axum::{
    Router,
    routing::{MethodRouter, get, post},
};
use poolgate_types::routes as paths;

pub use self::{
    app::{app, app_at, gateway_routes},
    cors::Readers,
    openapi::GATED_TAG,
};
pub(crate) use self::{connection_test::ConnectionTest, guesses::Guesses, openapi::ApiDocument};
use crate::{Poolgate, problem};

/// The health routes with their protection: cross-site requests are refused, allowed origins may read.
pub(crate) fn routes(poolgate: &Poolgate) -> Router {
    let server = &poolgate.settings().server;
    cors::layer(security::refuse_cross_site(bare_routes(poolgate), server), server)
}

fn bare_routes(poolgate: &Poolgate) -> Router {
    let router = table().into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    router.with_state(poolgate.clone())
}

/// All routes with their methods; other methods get 405.
fn table() -> Vec<(&'static str, MethodRouter<Poolgate>)> {
    let get_only =
        |methods: MethodRouter<Poolgate>| methods.fallback(async || problem::method_not_allowed("GET, HEAD"));
    vec![
        (paths::PING, get_only(get(ping::ping))),
        (paths::STATUS, get_only(get(status::status))),
        (paths::THROTTLING_CONFIG, get_only(get(throttling_config::throttling_config))),
        (paths::ACTIVITY, get_only(get(activity::activity))),
        (paths::HISTORY, get_only(get(history::history))),
        (paths::EVENTS, get_only(get(events::events))),
        (paths::CONNECTION_TEST, get_only(get(connection_test::connection_test))),
        (
            paths::FORCE_CLEANUP,
            post(force_cleanup::force_cleanup).fallback(async || problem::method_not_allowed("POST")),
        ),
        (paths::LIVEZ, get_only(get(ping::livez))),
        (paths::READYZ, get_only(get(readyz::readyz))),
        (paths::METRICS, get_only(get(metrics::metrics))),
        (paths::OPENAPI, get_only(get(openapi::openapi))),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use utoipa::OpenApi;

    use super::*;

    #[test]
    fn the_openapi_document_describes_exactly_these_routes() {
        let described = openapi::Document::openapi().paths.paths;
        let described: BTreeSet<&str> = described.keys().map(String::as_str).collect();
        let routed: BTreeSet<&str> = table().into_iter().map(|(path, _)| path).collect();
        assert_eq!(described, routed);
    }
}
