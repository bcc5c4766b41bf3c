//! Converts a config from the wire to the limits in force.

use std::time::Duration;

use poolgate_types::{ConfigHeader, ConfigVersion, Health, Level, SixFields, ThrottlingConfig, timing};

use crate::{breaker::Verdict, news::InvalidConfig};

/// Rates beyond these mean "never" and "always" and would only strain the arithmetic.
pub(crate) const RATES: (f64, f64) = (1e-6, 1e6);

/// The limits of one client at one moment. The default limits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Mean number of starts per second; `None`: unlimited.
    pub rate_per_second: Option<f64>,
    /// Maximum number of starts within any 60 seconds; `None`: unlimited.
    pub per_minute: Option<u32>,
    /// Maximum number of requests in flight; `None`: unlimited.
    pub concurrency: Option<u32>,
    /// Minimum time between two starts; zero: none.
    pub spacing: Duration,
}

/// A checked config; the throttle knows no other form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Policy {
    pub(crate) at: ConfigVersion,
    pub(crate) level: Level,
    pub(crate) health: Health,
    /// `limits` act.
    pub(crate) enforced: bool,
    /// The limits while the config is fresh; the default when it is not enforced.
    pub(crate) limits: Limits,
    pub(crate) verdict: Verdict,
    pub(crate) ttl: Duration,
    /// It came as a header, which has fewer fields than the document of the same version.
    pub(crate) partial: bool,
}

impl Policy {
    /// With a fair rate, that rate and the concurrency limit act; without one, the six fields.
    pub(crate) fn from_config(config: &ThrottlingConfig) -> Result<Self, InvalidConfig> {
        check(config)?;
        let limits = match (config.enforced, config.fair_rate_per_second) {
            (false, _) => Limits::default(),
            (true, Some(rate)) => Limits::fair(rate, config.max_concurrent_requests),
            (true, None) => Limits::from(config.six_fields()),
        };
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let verdict = match (config.circuit_breaker_open, config.probe_fraction) {
            (_, Some(fraction)) => Verdict::HalfOpen { fraction },
            (true, None) => {
                let retry_after = seconds(config.retry_after_seconds.unwrap_or(config.poll_after_seconds));
                Verdict::Open { retry_after }
            }
            (false, None) => Verdict::Closed,
        };
        Ok(Self {
            at: config.at(),
            level: config.throttling_level,
            health: config.health,
            enforced: config.enforced,
            limits,
            verdict,
            ttl: seconds(config.ttl_seconds),
            partial: false,
        })
    }

    /// A header does not state the policy, nor which clients may probe: both are taken from `before`.
    pub(crate) fn from_header(header: &ConfigHeader, before: Option<&Self>) -> Result<Self, InvalidConfig> {
        if header.interval_ms == Some(0) {
            return Err(InvalidConfig { field: "interval" });
        }
        if !ThrottlingConfig::CONCURRENCY.contains(header.concurrency) {
            return Err(InvalidConfig { field: "concurrency" });
        }
        let limits = match header.fair_rate_per_second() {
            Some(rate) => Limits::fair(rate, header.concurrency),
            None if before.is_some_and(Self::enforces_six_fields) => {
                Limits::from(SixFields { concurrency: header.concurrency, ..SixFields::of(header.level) })
            }
            None => Limits::default(),
        };
        let verdict = match before.map(|policy| policy.verdict) {
            _ if !header.open => Verdict::Closed,
            Some(known @ Verdict::HalfOpen { .. }) => known,
            // A header does not say when to try again.
            _ => Verdict::Open { retry_after: timing::POLL_ENFORCED },
        };
        let enforced = limits != Limits::default();
        Ok(Self {
            at: header.at,
            level: header.level,
            health: before.map_or(Health::default(), |policy| policy.health),
            enforced,
            limits,
            verdict,
            ttl: if enforced || header.open { timing::TTL_ENFORCED } else { timing::TTL },
            partial: true,
        })
    }

    fn enforces_six_fields(&self) -> bool {
        self.limits.per_minute.is_some()
    }
}

impl Limits {
    /// The adaptive policy: a rate and a concurrency limit, no minimum spacing.
    fn fair(rate: f64, concurrency: u32) -> Self {
        let rate = rate.clamp(RATES.0, RATES.1);
        Self { rate_per_second: Some(rate), concurrency: Some(concurrency), ..Self::default() }
    }
}

impl From<SixFields> for Limits {
    /// The six fields, literally.
    fn from(row: SixFields) -> Self {
        Self {
            rate_per_second: Some(f64::from(row.per_minute) / 60.0),
            per_minute: Some(row.per_minute),
            concurrency: Some(row.concurrency),
            spacing: Duration::from_millis(row.delay_ms.into()),
        }
    }
}

fn check(config: &ThrottlingConfig) -> Result<(), InvalidConfig> {
    let fields = config.six_fields();
    let checks = [
        ("max_concurrent_requests", ThrottlingConfig::CONCURRENCY.contains(fields.concurrency)),
        ("max_requests_per_minute", ThrottlingConfig::PER_MINUTE.contains(fields.per_minute)),
        ("request_delay_ms", ThrottlingConfig::DELAY_MS.contains(fields.delay_ms)),
        ("fair_rate_per_second", config.fair_rate_per_second.is_none_or(|rate| rate.is_finite() && rate > 0.0)),
        ("probe_fraction", config.probe_fraction.is_none_or(|fraction| (0.0..=1.0).contains(&fraction))),
        ("poll_after_seconds", config.poll_after_seconds > 0),
        ("ttl_seconds", config.ttl_seconds > 0),
    ];
    match checks.iter().find(|(_, holds)| !holds) {
        Some((field, _)) => Err(InvalidConfig { field }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: ConfigVersion = ConfigVersion { epoch: 1, version: 2 };

    fn fair(rate: f64) -> ThrottlingConfig {
        ThrottlingConfig {
            throttling_level: Level::Moderate,
            enforced: true,
            fair_rate_per_second: Some(rate),
            max_concurrent_requests: 4,
            ttl_seconds: 10,
            ..ThrottlingConfig::normal(AT)
        }
    }

    #[test]
    fn not_enforced_limits_nothing() {
        let policy = Policy::from_config(&ThrottlingConfig { enforced: false, ..fair(2.0) }).unwrap();
        assert_eq!(policy.limits, Limits::default());
    }

    #[test]
    fn a_fair_rate_replaces_spacing_and_the_limit_per_minute() {
        let limits = Policy::from_config(&fair(2.0)).unwrap().limits;
        let expected = Limits { rate_per_second: Some(2.0), concurrency: Some(4), ..Limits::default() };
        assert_eq!(limits, expected);
    }

    #[test]
    fn without_a_fair_rate_the_six_fields_act() {
        let config = ThrottlingConfig { fair_rate_per_second: None, ..fair(2.0) };
        let limits = Policy::from_config(&config).unwrap().limits;
        assert_eq!(limits.per_minute, Some(100));
        assert_eq!(limits.spacing, Duration::from_millis(100));
        assert_eq!(limits.concurrency, Some(4));
    }

    #[test]
    fn a_field_out_of_range_is_named() {
        type Spoil = fn(&mut ThrottlingConfig);
        let cases: [(&str, Spoil); 12] = [
            ("max_concurrent_requests", |c| c.max_concurrent_requests = 0),
            ("max_concurrent_requests", |c| c.max_concurrent_requests = 11),
            ("max_requests_per_minute", |c| c.max_requests_per_minute = 4),
            ("max_requests_per_minute", |c| c.max_requests_per_minute = u32::MAX),
            ("request_delay_ms", |c| c.request_delay_ms = 99),
            ("fair_rate_per_second", |c| c.fair_rate_per_second = Some(0.0)),
            ("fair_rate_per_second", |c| c.fair_rate_per_second = Some(-1.0)),
            ("fair_rate_per_second", |c| c.fair_rate_per_second = Some(f64::NAN)),
            ("fair_rate_per_second", |c| c.fair_rate_per_second = Some(f64::INFINITY)),
            ("probe_fraction", |c| c.probe_fraction = Some(1.1)),
            ("poll_after_seconds", |c| c.poll_after_seconds = 0),
            ("ttl_seconds", |c| c.ttl_seconds = 0),
        ];
        for (field, spoil) in cases {
            let mut config = fair(2.0);
            spoil(&mut config);
            assert_eq!(Policy::from_config(&config).unwrap_err(), InvalidConfig { field });
        }
    }

    #[test]
    fn a_header_says_the_same_as_its_document() {
        let document = Policy::from_config(&fair(2.5)).unwrap();
        let header = Policy::from_header(&ConfigHeader::from(&fair(2.5)), None).unwrap();
        assert_eq!(header, Policy { partial: true, ..document });
    }

    #[test]
    fn a_header_of_a_fixed_policy_means_the_row_of_its_level() {
        let fixed = ThrottlingConfig { fair_rate_per_second: None, ..fair(1.0) };
        let before = Policy::from_config(&fixed).unwrap();
        let header = ConfigHeader { level: Level::Emergency, concurrency: 1, ..ConfigHeader::from(&fixed) };
        assert_eq!(Policy::from_header(&header, Some(&before)).unwrap().limits, Limits::from(SixFields::EMERGENCY));
        assert!(!Policy::from_header(&header, None).unwrap().enforced, "unknown policy: wait for the document");
    }

    #[test]
    fn a_header_out_of_range_is_refused() {
        let good = ConfigHeader::from(&fair(2.5));
        assert!(Policy::from_header(&ConfigHeader { interval_ms: Some(0), ..good }, None).is_err());
        assert!(Policy::from_header(&ConfigHeader { concurrency: 0, ..good }, None).is_err());
    }
}
