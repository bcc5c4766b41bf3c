//! `Server-Timing`: where a request's time went, for the developer tools of browsers.

use std::{fmt::Write, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

const HEADER: HeaderName = HeaderName::from_static("server-timing");

/// Adds these times to a response's `Server-Timing`, behind what the app says there. They are given to a tenth of a
/// millisecond: that is enough to find what is slow, and a finer clock would help an attacker more than a developer.
pub fn add_server_timing(headers: &mut HeaderMap, times: impl IntoIterator<Item = (&'static str, Duration)>) {
    let mut metrics = String::new();
    for (name, time) in times {
        let separator = if metrics.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(metrics, "{separator}{name};dur={:.1}", time.as_secs_f64() * 1e3);
    }
    if let (false, Ok(metrics)) = (metrics.is_empty(), HeaderValue::try_from(metrics)) {
        headers.append(HEADER, metrics);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_app_says_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static("db;dur=3"));
        add_server_timing(&mut headers, []);
        add_server_timing(&mut headers, [("gate", Duration::from_micros(8_149)), ("pool", Duration::ZERO)]);
        let lines: Vec<_> = headers.get_all(HEADER).iter().collect();
        assert_eq!(lines, ["db;dur=3", "gate;dur=8.1, pool;dur=0.0"]);
    }
}
