//! The interface's description, from the code that implements it.

use axum::{Json, response::IntoResponse};
use utoipa::OpenApi;

/// The health routes' OpenAPI 3.1 document.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "Poolgate", description = "Database health, throttling config and operations"),
    paths(
        super::ping::ping,
        super::ping::livez,
        super::readyz::readyz,
        super::status::status,
        super::throttling_config::throttling_config,
        super::events::events,
        super::connection_test::connection_test,
        super::force_cleanup::force_cleanup,
        super::metrics::metrics,
        openapi
    )
)]
pub(super) struct Document;

/// This document.
#[utoipa::path(
    get,
    path = poolgate_types::routes::OPENAPI,
    tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"))
)]
pub(super) async fn openapi() -> impl IntoResponse {
    Json(Document::openapi())
}
