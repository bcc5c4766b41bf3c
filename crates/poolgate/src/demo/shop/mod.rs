//! The sample app: database work as in a shop.

pub(super) mod orders;
pub(super) mod products;
pub(super) mod reports;

use axum::{
    Router,
    routing::{get, post},
};

use super::{Demo, failure::Failure};

/// The shop's routes below `/api/v1/shop`.
pub(super) fn routes() -> Router<Demo> {
    Router::new()
        .route("/products", get(products::search))
        .route("/products/{id}", get(products::page))
        .route("/orders", post(orders::place))
        .route("/reports/sales", get(reports::sales))
}

/// Unix seconds in RFC 3339.
fn rfc3339(unix_seconds: i64) -> Result<String, Failure> {
    jiff::Timestamp::from_second(unix_seconds).map(|moment| moment.to_string()).map_err(|_| Failure::Internal)
}
