//! The controller's settings, with their defaults and ranges.

use std::{error::Error, fmt, time::Duration};

/// How the controller decides.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Which law sets the limits. Default: adaptive.
    pub policy: Policy,
    /// Only observe: measure, log and alert, but tell the clients nothing. The config stays NORMAL, the gate lets every
    /// request pass the breaker, and no client has a limit. Default: false.
    pub observe_only: bool,
    /// Try fewer permits when the database seems to be crowded. Default: true.
    pub narrows: bool,
    /// The pool's usage at which labels and alerts change.
    pub thresholds: Thresholds,
    /// The law of the fair rate.
    pub adaptive: AdaptiveSettings,
    /// The circuit breaker.
    pub breaker: BreakerSettings,
}

/// Which law sets the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// One fair rate for all clients, corrected from what arrives; no limit while healthy.
    #[default]
    Adaptive,
    /// Four fixed rows, chosen by the pool's usage and always enforced.
    Fixed,
}

/// The pool's usage, in percent: rising, above 0 and up to 100. Each threshold is left 5 points below its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Info alert, DEGRADED; MODERATE in the fixed policy. Default 70.
    pub info_percent: f64,
    /// Warning alert; AGGRESSIVE in the fixed policy. Default 80.
    pub warning_percent: f64,
    /// Critical alert; CRITICAL above it; EMERGENCY in the fixed policy. Default 90.
    pub critical_percent: f64,
}

/// The law of the fair rate; see [`crate::Controller`] for the formula.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveSettings {
    /// The arrivals that the law aims for, as a multiple of capacity, 1 to 2. A value above 1 keeps the gate busy at
    /// the price of some rejects. Default 1.05.
    pub overcommit: f64,
    /// Gain on the difference between wanted and actual arrivals, 0 to 1. Default 0.1.
    pub arrival_gain: f64,
    /// Gain on the backlog: the queue at the gate less the idle slots, 0 to 1. Default 0.01.
    pub queue_gain: f64,
    /// The loop's delay that the gains are relative to, 10 ms to 10 s. Default 0.3 s.
    pub loop_delay: Duration,
    /// Demand must fit the capacity for this long before the rate is released, 0.1 to 5 s. Default 2 s.
    pub release_after: Duration,
}

/// The circuit breaker. It opens only when the database cannot be used, never for load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// The breaker opens after the database could not be used for this long, 0 to 10 s. Default 0.5 s.
    pub open_after: Duration,
    /// The breaker stays open for this long the first time, 0.1 s to 60 s, with a jitter of a quarter. The time doubles
    /// each time the database does not recover, up to 60 s. Default 1 s.
    pub open_for: Duration,
}

/// A setting is out of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSettings {
    /// The path of the setting.
    pub key: &'static str,
    /// The values that it accepts.
    pub expected: &'static str,
}

impl Settings {
    /// The defaults, with this policy.
    pub fn with_policy(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Checks every range.
    ///
    /// # Errors
    ///
    /// Returns the first setting that is out of its range.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        self.thresholds.check()?;
        let AdaptiveSettings { overcommit, arrival_gain, queue_gain, loop_delay, release_after } = self.adaptive;
        ensure((1.0..=2.0).contains(&overcommit), "adaptive.overcommit", "from 1 to 2")?;
        ensure((0.0..=1.0).contains(&arrival_gain), "adaptive.arrival_gain", "from 0 to 1")?;
        ensure((0.0..=1.0).contains(&queue_gain), "adaptive.queue_gain", "from 0 to 1")?;
        let delays = Duration::from_millis(10)..=Duration::from_secs(10);
        ensure(delays.contains(&loop_delay), "adaptive.loop_delay", "from 10 ms to 10 s")?;
        let releases = Duration::from_millis(100)..=Duration::from_secs(5);
        ensure(releases.contains(&release_after), "adaptive.release_after", "from 100 ms to 5 s")?;

        let BreakerSettings { open_after, open_for } = self.breaker;
        ensure(open_after <= Duration::from_secs(10), "breaker.open_after", "at most 10 s")?;
        let openings = Duration::from_millis(100)..=Duration::from_secs(60);
        ensure(openings.contains(&open_for), "breaker.open_for", "from 100 ms to 60 s")
    }
}

impl Thresholds {
    /// Checks that they rise, within their range.
    ///
    /// # Errors
    ///
    /// Returns the first threshold that is out of its range.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let Self { info_percent: info, warning_percent: warning, critical_percent: critical } = *self;
        // Written so that NaN fails.
        ensure(info > 0.0 && info <= 100.0, "thresholds.info", "above 0 and at most 100")?;
        ensure(warning > info && warning <= 100.0, "thresholds.warning", "above thresholds.info and at most 100")?;
        ensure(
            critical > warning && critical <= 100.0,
            "thresholds.critical",
            "above thresholds.warning and at most 100",
        )
    }

    pub(crate) const fn rising(self) -> [f64; 3] {
        [self.info_percent, self.warning_percent, self.critical_percent]
    }

    /// The thresholds of health. CRITICAL begins above its threshold, not at it.
    pub(crate) const fn of_health(self) -> [f64; 2] {
        [self.info_percent, self.critical_percent.next_up()]
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            observe_only: false,
            narrows: true,
            thresholds: Thresholds::default(),
            adaptive: AdaptiveSettings::default(),
            breaker: BreakerSettings::default(),
        }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { info_percent: 70.0, warning_percent: 80.0, critical_percent: 90.0 }
    }
}

impl Default for AdaptiveSettings {
    fn default() -> Self {
        Self {
            overcommit: 1.05,
            arrival_gain: 0.1,
            queue_gain: 0.01,
            loop_delay: Duration::from_millis(300),
            release_after: Duration::from_secs(2),
        }
    }
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { open_after: Duration::from_millis(500), open_for: Duration::from_secs(1) }
    }
}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` must be {}", self.key, self.expected)
    }
}

impl Error for InvalidSettings {}

fn ensure(holds: bool, key: &'static str, expected: &'static str) -> Result<(), InvalidSettings> {
    if holds { Ok(()) } else { Err(InvalidSettings { key, expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn an_error_names_the_setting() {
        let mut settings = Settings::default();
        settings.thresholds.warning_percent = 95.0;
        assert_eq!(settings.check().unwrap_err().key, "thresholds.critical");
        settings.thresholds.warning_percent = f64::NAN;
        assert_eq!(settings.check().unwrap_err().key, "thresholds.warning");
        settings = Settings::default();
        settings.adaptive.overcommit = 0.5;
        assert_eq!(settings.check().unwrap_err().to_string(), "`adaptive.overcommit` must be from 1 to 2");
    }
}
