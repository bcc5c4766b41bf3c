//! Converts fractions of seconds to durations.
//!
//! The standard library's conversion panics on invalid input and adds 2 KB to the download.

use std::time::Duration;

/// Seconds as a duration, to the nanosecond. Negative numbers and NaN give zero; the maximum is 584 years.
pub(crate) fn of_seconds(seconds: f64) -> Duration {
    // `as` saturates and maps NaN to 0.
    Duration::from_nanos((seconds * 1e9 + 0.5) as u64)
}

/// A multiple of a duration.
pub(crate) fn scaled(span: Duration, factor: f64) -> Duration {
    of_seconds(span.as_secs_f64() * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_equal_those_of_the_standard_library() {
        for seconds in [0.0, 1e-9, 0.1, 0.25, 1.0 / 3.0, 59.999_999_999, 3600.5, 1e9] {
            let difference = of_seconds(seconds).abs_diff(Duration::from_secs_f64(seconds));
            assert!(difference <= Duration::from_nanos(1), "{seconds}: {difference:?}");
        }
        assert_eq!(scaled(Duration::from_millis(100), 2.5), Duration::from_millis(250));
    }

    #[test]
    fn invalid_seconds_are_zero_and_too_many_the_maximum() {
        for odd in [-1.0, f64::NAN, f64::NEG_INFINITY, f64::MIN_POSITIVE] {
            assert_eq!(of_seconds(odd), Duration::ZERO);
        }
        for long in [1e12, f64::INFINITY, f64::MAX] {
            assert_eq!(of_seconds(long), Duration::from_nanos(u64::MAX));
        }
    }
}
