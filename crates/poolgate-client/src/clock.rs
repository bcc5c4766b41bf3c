//! The clock that the pure crates are told.

use std::time::Duration;

use crate::host;

/// Monotonic time since the page's start.
pub(crate) fn now() -> Duration {
    from_ms(host::performance_now())
}

/// A span in milliseconds; what is negative or not a number counts as zero.
pub(crate) fn from_ms(milliseconds: f64) -> Duration {
    // `as` saturates and maps NaN to 0.
    Duration::from_micros((milliseconds * 1000.0) as u64)
}

/// A span as JavaScript wants it.
pub(crate) fn to_ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
