//! The configs that servers publish.

use poolgate_throttle::News;
use poolgate_types::{ConfigVersion, Level, SixFields, ThrottlingConfig};

pub(crate) const EPOCH: u64 = 1_763_880_000_000;

pub(crate) const fn at(version: u64) -> ConfigVersion {
    ConfigVersion { epoch: EPOCH, version }
}

/// Nothing enforced.
pub(crate) fn normal(version: u64) -> ThrottlingConfig {
    ThrottlingConfig::normal(at(version))
}

/// The adaptive policy under load.
pub(crate) fn fair(version: u64, rate: f64, concurrency: u32) -> ThrottlingConfig {
    ThrottlingConfig {
        throttling_level: Level::Moderate,
        enforced: true,
        fair_rate_per_second: Some(rate),
        max_concurrent_requests: concurrency,
        ttl_seconds: 10,
        ..normal(version)
    }
}

/// The fixed policy.
pub(crate) fn fixed(version: u64, level: Level) -> ThrottlingConfig {
    let row = SixFields::of(level);
    ThrottlingConfig {
        throttling_level: level,
        enforced: true,
        max_concurrent_requests: row.concurrency,
        max_requests_per_minute: row.per_minute,
        request_delay_ms: row.delay_ms,
        emergency_mode_active: level == Level::Emergency,
        ttl_seconds: 10,
        ..normal(version)
    }
}

/// The breaker is open.
pub(crate) fn open(version: u64) -> ThrottlingConfig {
    ThrottlingConfig {
        throttling_level: Level::Emergency,
        circuit_breaker_open: true,
        retry_after_seconds: Some(5),
        ttl_seconds: 10,
        ..normal(version)
    }
}

/// The breaker lets this share of the clients probe.
pub(crate) fn half_open(version: u64, fraction: f64) -> ThrottlingConfig {
    ThrottlingConfig { probe_fraction: Some(fraction), ..open(version) }
}

pub(crate) fn news(config: ThrottlingConfig) -> News {
    News::Config(config)
}
