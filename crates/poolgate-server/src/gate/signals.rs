//! What a request says about itself in its headers.

use std::time::Duration;

use http::HeaderMap;
use poolgate_control::gate::Priority;

/// Milliseconds from now in which the caller wants its answer.
const DEADLINE_HEADER: &str = "poolgate-deadline-ms";
/// How urgent a request is, by RFC 9218.
const PRIORITY_HEADER: &str = "priority";
/// Urgencies run from 0 to 7, 3 is the default. Browsers send 1 to 4 for requests that nobody marked.
const BACKGROUND_URGENCY: u8 = 5;

/// How long the caller itself will wait, where it says so: services may send it, browsers never do.
pub(super) fn patience(headers: &HeaderMap) -> Option<Duration> {
    headers.get(DEADLINE_HEADER)?.to_str().ok()?.parse().ok().map(Duration::from_millis)
}

/// Normal, or background where the request calls itself that. Never more: nobody has checked the header, and browsers
/// call most of their requests urgent, so those who send none would stand behind all others.
pub(super) fn priority(headers: &HeaderMap) -> Priority {
    match urgency(headers) {
        Some(BACKGROUND_URGENCY..=7) => Priority::Background,
        _ => Priority::Normal,
    }
}

/// The parameter `u` of a dictionary such as `u=5, i`.
fn urgency(headers: &HeaderMap) -> Option<u8> {
    let members = headers.get(PRIORITY_HEADER)?.to_str().ok()?.split(',');
    members.filter_map(|member| member.trim().strip_prefix("u=")).next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_step_back_and_not_forward() {
        for (header, expected) in [
            (None, Priority::Normal),
            (Some("u=0, i"), Priority::Normal),
            (Some("i"), Priority::Normal),
            (Some("u=4"), Priority::Normal),
            (Some("u=5"), Priority::Background),
            (Some("i, u=7"), Priority::Background),
            (Some("u=7, u=1"), Priority::Normal),
            (Some("u=8"), Priority::Normal),
            (Some("u=-1"), Priority::Normal),
            (Some("u=high"), Priority::Normal),
        ] {
            let value =
                header.map(|text| (http::HeaderName::from_static(PRIORITY_HEADER), text.parse().expect("ASCII")));
            assert_eq!(priority(&value.into_iter().collect()), expected, "{header:?}");
        }
    }
}
