//! Reads `Retry-After` (RFC 9110, section 10.2.3).

use std::{borrow::Cow, time::Duration};

/// The date, as the client's host knows it. A browser can read dates; a native program needs a library for that.
pub trait Calendar {
    /// The time since 1970.
    fn today(&self) -> Duration;

    /// The time since 1970 of an HTTP date, such as `Tue, 01 Dec 2026 12:00:05 GMT`. `None`: it is none. The text ends in
    /// GMT.
    fn read(&self, date: &str) -> Option<Duration>;
}

/// The wait that a header asks for: a number of seconds, or a date by the sender's clock. `date` is the answer's own; an
/// answer without one is from today. A date in the past is no wait. `None`: malformed.
pub(crate) fn read(text: &str, date: Option<&str>, calendar: &impl Calendar) -> Option<Duration> {
    seconds(text).or_else(|| {
        let until = moment(text, calendar)?;
        let now = date.and_then(|date| moment(date, calendar)).unwrap_or_else(|| calendar.today());
        Some(until.saturating_sub(now))
    })
}

/// Seconds, whole or in fractions; of several that proxies have put together, the first.
fn seconds(text: &str) -> Option<Duration> {
    let first = text.split(',').next()?.trim();
    let (whole, fraction) = first.split_once('.').unwrap_or((first, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    // What is too large for a duration is as long as can be. Read as whole numbers, because the standard library's parser of
    // fractions brings a table of 10 KB into a page.
    let seconds = whole.parse().map_or(Duration::MAX, Duration::from_secs);
    let nanos = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    Some(seconds.saturating_add(Duration::from_nanos(nanos.into())))
}

/// Some servers write UTC where the standard has GMT.
fn moment(text: &str, calendar: &impl Calendar) -> Option<Duration> {
    let text = text.trim();
    let text = text.strip_suffix(" UTC").map_or(Cow::Borrowed(text), |rest| Cow::Owned(format!("{rest} GMT")));
    if text.ends_with(" GMT") { calendar.read(&text) } else { None }
}
