//! How many requests may be sent a second time.

use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, Method, Request, Uri};
use http_body::Body as _;

use axum::body::Body;

/// One of this many requests may be repeated.
const PRICE: u32 = 5;
/// What is there at the start, three repeats, and the most that is saved up.
const FIRST: u32 = 3 * PRICE;
const MOST: u32 = 20 * PRICE;

/// Repeats that are left; each request adds 1, and a repeat costs [`PRICE`].
#[derive(Debug)]
pub(crate) struct RetryBudget(Mutex<u32>);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(Mutex::new(FIRST))
    }
}

impl RetryBudget {
    /// A request is sent for the first time.
    pub(crate) fn earn(&self) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left = (*left + 1).min(MOST);
    }

    /// Whether one may be sent again.
    pub(crate) fn spend(&self) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = left.checked_sub(PRICE);
        *left = rest.unwrap_or(*left);
        rest.is_some()
    }
}

/// A request that does no harm when it is executed twice, to be sent again when the app closes the connection just then.
#[derive(Debug)]
pub(crate) struct Spare {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Spare {
    pub(crate) fn of(request: &Request<Body>) -> Option<Self> {
        let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let is_repeatable = is_safe && request.body().is_end_stream();
        is_repeatable.then(|| Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        })
    }

    pub(crate) fn into_request(self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_requests_may_be_repeated_and_at_first_three() {
        let budget = RetryBudget::default();
        assert_eq!((0..10).filter(|_| budget.spend()).count(), 3);
        for _ in 0..50 {
            budget.earn();
        }
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
    }
}
