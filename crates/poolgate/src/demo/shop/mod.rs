//! The sample app: database work as in a shop.

pub(super) mod orders;
pub(super) mod products;
pub(super) mod reports;

use axum::routing::{MethodRouter, get, post};

use super::{Demo, failure::Failure};

/// The shop's routes below `/api/v1/shop`.
pub(super) fn routes() -> [(&'static str, MethodRouter<Demo>); 4] {
    [
        ("/products", get(products::search)),
        ("/products/{id}", get(products::page)),
        ("/orders", post(orders::place)),
        ("/reports/sales", get(reports::sales)),
    ]
}

/// Unix seconds in RFC 3339.
fn rfc3339(unix_seconds: i64) -> Result<String, Failure> {
    jiff::Timestamp::from_second(unix_seconds).map(|moment| moment.to_string()).map_err(|_| Failure::Internal)
}
