//! The id that ties a request's line to the lines of other programs.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use http::{HeaderMap, HeaderName, HeaderValue};

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids are replaced.
const LONGEST: usize = 128;

/// A request's id.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The id that the request brings, if it is one that a log can keep; otherwise a new one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(HEADER).iter();
        match (values.next(), values.next()) {
            (Some(value), None) if is_plain(value.as_bytes()) => Self(value.clone()),
            _ => Self::new(),
        }
    }

    /// 16 hexadecimal digits that no client can foresee.
    fn new() -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let digits = format!("{:016x}", KEY.hash_one(NEXT.fetch_add(1, Relaxed)));
        Self(HeaderValue::try_from(digits).unwrap_or(HeaderValue::from_static("")))
    }

    /// Sets the header.
    pub(super) fn stamp(&self, headers: &mut HeaderMap) {
        headers.insert(HEADER, self.0.clone());
    }

    /// Sets the header of an answer that has none.
    pub(super) fn stamp_answer(&self, headers: &mut HeaderMap) {
        headers.entry(HEADER).or_insert_with(|| self.0.clone());
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Letters, digits and some signs: nothing that breaks a line or a quoted text.
fn is_plain(id: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=~".contains(byte);
    (1..=LONGEST).contains(&id.len()) && id.iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> RequestId {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        RequestId::of(&headers)
    }

    #[test]
    fn a_plain_id_is_kept_and_every_other_one_replaced() {
        assert_eq!(of(&["4bf9-2f35"]).as_str(), "4bf9-2f35");
        let long = "a".repeat(129);
        for values in [&[][..], &[""], &["a b"], &["\""], &["naïve"], &[&long], &["a", "b"]] {
            let id = of(values);
            assert_eq!(id.as_str().len(), 16, "{values:?}");
            assert!(id.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()), "{id:?}");
        }
        assert_ne!(of(&[]).as_str(), of(&[]).as_str());
    }
}
