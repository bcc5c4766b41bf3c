//! Conversion of times: JavaScript counts in milliseconds.

use std::time::Duration;

/// A time or a span in milliseconds; negative numbers and NaN count as zero.
pub(crate) fn from_ms(milliseconds: f64) -> Duration {
    // `as` saturates and maps NaN to 0.
    Duration::from_micros((milliseconds * 1000.0) as u64)
}

/// A time or a span as JavaScript wants it.
pub(crate) fn to_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// `None` becomes infinity: never.
pub(crate) fn or_never(time: Option<Duration>) -> f64 {
    time.map_or(f64::INFINITY, to_ms)
}
