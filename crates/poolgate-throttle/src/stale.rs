//! The limits of a config that has not been confirmed for too long.
//!
//! A hidden tab or a cut stream must not act on such a config for ever, whether it is strict or generous: its limits
//! decay to the NORMAL row with a half-life of ten seconds. An expired lease in Doorman (YouTube, 2016) falls back to a
//! safe capacity in the same way.

use std::time::Duration;

use poolgate_types::SixFields;

use crate::{limits::Limits, span};

const HALF_LIFE: Duration = Duration::from_secs(10);
/// After ten half-lives a thousandth is left, which no limit shows; from here on the row itself is in force.
const SETTLED: Duration = Duration::from_secs(100);
/// While the limits decay, a queued request checks them this often.
const STEP: Duration = Duration::from_secs(1);

/// The limits `overdue` after their time to live.
pub(crate) fn decayed(limits: &Limits, overdue: Duration) -> Limits {
    let row = Limits::from(SixFields::NORMAL);
    if overdue >= SETTLED {
        return row;
    }
    // Linear between half-lives: `exp2` would add its table of 2 KB to the download.
    let half_lives = overdue.as_secs_f64() / HALF_LIFE.as_secs_f64();
    let left = (1.0 - half_lives.fract() / 2.0) / f64::from(1_u32 << half_lives as u32);
    // Rounding must not leave the range between the two values.
    let move_to =
        |target: f64, from: f64| (target + (from - target) * left).max(from.min(target)).min(from.max(target));
    let count = |target: Option<u32>, from: u32| {
        move_to(f64::from(target.unwrap_or(from)), f64::from(from)).round().max(1.0) as u32
    };
    Limits {
        rate_per_second: limits.rate_per_second.map(|rate| move_to(row.rate_per_second.unwrap_or(rate), rate)),
        per_minute: limits.per_minute.map(|starts| count(row.per_minute, starts)),
        concurrency: limits.concurrency.map(|requests| count(row.concurrency, requests)),
        spacing: span::of_seconds(move_to(row.spacing.as_secs_f64(), limits.spacing.as_secs_f64())),
    }
}

/// When to look at the decaying limits again; `None` once they are settled.
pub(crate) fn next_step(overdue: Duration, now: Duration) -> Option<Duration> {
    (overdue < SETTLED).then(|| now.saturating_add(STEP))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn strict_limits_loosen_with_the_half_life() {
        let emergency = Limits::from(SixFields::EMERGENCY);
        let at_first = decayed(&emergency, secs(0));
        assert!((at_first.rate_per_second.unwrap() * 60.0 - 5.0).abs() < 1e-6);
        assert_eq!(Limits { rate_per_second: emergency.rate_per_second, ..at_first }, emergency);
        let after = decayed(&emergency, secs(10));
        assert!((after.rate_per_second.unwrap() * 60.0 - 52.5).abs() < 1e-6, "half way from 5 to 100");
        assert_eq!(after.concurrency, Some(6), "half way from 1 to 10");
        assert!((after.spacing.as_secs_f64() - 1.05).abs() < 1e-6, "half way from 2,000 to 100 ms");
        assert_eq!(decayed(&emergency, secs(100)), Limits::from(SixFields::NORMAL));
    }

    #[test]
    fn generous_limits_tighten() {
        let generous = Limits { rate_per_second: Some(50.0), concurrency: Some(10), ..Limits::default() };
        let after = decayed(&generous, secs(20)).rate_per_second.unwrap();
        assert!((after - (100.0 / 60.0 + (50.0 - 100.0 / 60.0) / 4.0)).abs() < 1e-6);
        assert_eq!(decayed(&generous, Duration::MAX), Limits::from(SixFields::NORMAL));
    }
}
