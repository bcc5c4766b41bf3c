//! The config document that all clients obey.

use serde::{Deserialize, Serialize};

use crate::{Health, Level, Reason, timing};

/// What each client may send. All clients get the same bytes: no clock, no gauge, nothing about a single client.
///
/// The first six fields suffice for a client that predates the others; the others refine them.
/// [`fair_rate_per_second`](Self::fair_rate_per_second) says which of them a client enforces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ThrottlingConfig {
    /// How strongly clients are limited.
    pub throttling_level: Level,
    /// Maximum number of requests in flight per client, 1 to 10.
    pub max_concurrent_requests: u32,
    /// Maximum number of requests that one client starts per minute, 5 to 100.
    pub max_requests_per_minute: u32,
    /// Minimum time between two starts of one client, 100 to 2,000 ms.
    pub request_delay_ms: u32,
    /// `true`: the breaker is open and clients send only probes.
    pub circuit_breaker_open: bool,
    /// `true`: the level is EMERGENCY.
    pub emergency_mode_active: bool,
    /// Start of the server in Unix milliseconds; orders configs together with `version`.
    pub epoch: u64,
    /// Number of the config within its epoch; changes only with the content.
    pub version: u64,
    /// How full the pool is, and whether the database works without restriction.
    pub health: Health,
    /// `false`: clients enforce only the breaker and pauses.
    pub enforced: bool,
    /// Requests per second that each client may start, greater than 0. Present while the adaptive policy limits:
    /// clients enforce this rate and `max_concurrent_requests`. Absent while `enforced` is `true`: clients enforce the
    /// first six fields.
    pub fair_rate_per_second: Option<f64>,
    /// Poll interval for clients without a stream, in seconds.
    pub poll_after_seconds: u32,
    /// How long the config holds unless it is confirmed, in seconds; later a client moves towards the NORMAL row.
    pub ttl_seconds: u32,
    /// Time until the next poll while the breaker is open, in seconds.
    pub retry_after_seconds: Option<u32>,
    /// Share of the clients, 0 to 1, that may probe with one request at a time while the breaker is half-open.
    pub probe_fraction: Option<f64>,
    /// Why these limits are in force.
    pub reason: Reason,
}

/// Orders configs: the higher one wins, whether it came by stream, header or poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConfigVersion {
    /// Start of the server in Unix milliseconds.
    pub epoch: u64,
    /// Number of the config within its epoch.
    pub version: u64,
}

/// The limits understood by clients that predate the fair rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SixFields {
    /// Maximum number of requests in flight, as in `max_concurrent_requests`.
    pub concurrency: u32,
    /// Maximum number of starts per minute, as in `max_requests_per_minute`.
    pub per_minute: u32,
    /// Minimum time between two starts in milliseconds, as in `request_delay_ms`.
    pub delay_ms: u32,
}

/// The range of a field; both ends are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Smallest valid value.
    pub min: u32,
    /// Largest valid value.
    pub max: u32,
}

impl ThrottlingConfig {
    /// Range of [`max_concurrent_requests`](Self::max_concurrent_requests).
    pub const CONCURRENCY: Range = Range { min: 1, max: 10 };
    /// Range of [`max_requests_per_minute`](Self::max_requests_per_minute).
    pub const PER_MINUTE: Range = Range { min: 5, max: 100 };
    /// Range of [`request_delay_ms`](Self::request_delay_ms).
    pub const DELAY_MS: Range = Range { min: 100, max: 2000 };

    /// The config without any limits: NORMAL, nothing enforced.
    pub const fn normal(at: ConfigVersion) -> Self {
        Self {
            throttling_level: Level::Normal,
            max_concurrent_requests: SixFields::NORMAL.concurrency,
            max_requests_per_minute: SixFields::NORMAL.per_minute,
            request_delay_ms: SixFields::NORMAL.delay_ms,
            circuit_breaker_open: false,
            emergency_mode_active: false,
            epoch: at.epoch,
            version: at.version,
            health: Health::Healthy,
            enforced: false,
            fair_rate_per_second: None,
            poll_after_seconds: timing::seconds(timing::POLL),
            ttl_seconds: timing::seconds(timing::TTL),
            retry_after_seconds: None,
            probe_fraction: None,
            reason: Reason::Healthy,
        }
    }

    /// Epoch and version.
    pub const fn at(&self) -> ConfigVersion {
        ConfigVersion { epoch: self.epoch, version: self.version }
    }

    /// The content of a strong `ETag`, without its quotes: `<epoch>-<version>`.
    pub fn etag(&self) -> String {
        format!("{}-{}", self.epoch, self.version)
    }

    /// The limits for clients that predate the fair rate.
    pub const fn six_fields(&self) -> SixFields {
        SixFields {
            concurrency: self.max_concurrent_requests,
            per_minute: self.max_requests_per_minute,
            delay_ms: self.request_delay_ms,
        }
    }
}

impl SixFields {
    /// The row of level NORMAL.
    pub const NORMAL: Self = Self { concurrency: 10, per_minute: 100, delay_ms: 100 };
    /// The row of level MODERATE in the fixed policy.
    pub const MODERATE: Self = Self { concurrency: 7, per_minute: 70, delay_ms: 300 };
    /// The row of level AGGRESSIVE in the fixed policy.
    pub const AGGRESSIVE: Self = Self { concurrency: 3, per_minute: 30, delay_ms: 1000 };
    /// The row of level EMERGENCY in the fixed policy.
    pub const EMERGENCY: Self = Self { concurrency: 1, per_minute: 5, delay_ms: 2000 };

    /// The row of a level in the fixed policy.
    pub const fn of(level: Level) -> Self {
        match level {
            Level::Normal => Self::NORMAL,
            Level::Moderate => Self::MODERATE,
            Level::Aggressive => Self::AGGRESSIVE,
            Level::Emergency => Self::EMERGENCY,
        }
    }
}

impl Range {
    /// Clamps the value to the range.
    pub const fn clamp(self, value: u32) -> u32 {
        if value < self.min {
            self.min
        } else if value > self.max {
            self.max
        } else {
            value
        }
    }

    /// Truncates the value and clamps it to the range; NaN becomes the smallest valid value.
    pub fn clamp_f64(self, value: f64) -> u32 {
        // `as` saturates and maps NaN to 0; the clamp corrects both.
        self.clamp(value as u32)
    }

    /// Whether the value lies inside the range.
    pub const fn contains(self, value: u32) -> bool {
        self.min <= value && value <= self.max
    }
}
