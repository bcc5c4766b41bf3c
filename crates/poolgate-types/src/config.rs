//! The document that all clients obey.

use serde::{Deserialize, Serialize};

use crate::{Health, Level, Reason, timing};

/// What every client may send. The same bytes for everyone: it holds no clock, no gauge and nothing about one client.
///
/// The first six fields are enough for a client that knows only them; the others refine. See
/// [`fair_rate_per_second`](Self::fair_rate_per_second) for which of them a client enforces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ThrottlingConfig {
    /// How strongly clients are slowed down.
    pub throttling_level: Level,
    /// Requests that one client may have in flight, 1 to 10.
    pub max_concurrent_requests: u32,
    /// Requests that one client may start in a minute, 5 to 100.
    pub max_requests_per_minute: u32,
    /// Shortest time between two starts of one client, 100 to 2,000 ms.
    pub request_delay_ms: u32,
    /// Nothing may pass but probes.
    pub circuit_breaker_open: bool,
    /// The level is EMERGENCY.
    pub emergency_mode_active: bool,
    /// Unix milliseconds of the server's start; with `version` it orders configs.
    pub epoch: u64,
    /// Counts the configs of an epoch; it changes only when the content does.
    pub version: u64,
    /// How full the pool is, and whether the database does all of its work.
    pub health: Health,
    /// `false`: a client enforces nothing but the breaker and pauses.
    pub enforced: bool,
    /// Requests a second that each client may start, greater than 0. Present while the adaptive policy limits: a client
    /// then enforces this rate and `max_concurrent_requests`. Absent while `enforced`: it enforces the first six fields.
    pub fair_rate_per_second: Option<f64>,
    /// After how long a client without a stream asks again, in seconds.
    pub poll_after_seconds: u32,
    /// How long the config holds without news, in seconds; after that a client moves towards the NORMAL row.
    pub ttl_seconds: u32,
    /// While the breaker is open: when to ask again, in seconds.
    pub retry_after_seconds: Option<u32>,
    /// While the breaker is half-open: the share of the clients, 0 to 1, that may send one request at a time.
    pub probe_fraction: Option<f64>,
    /// Why the config is as it is.
    pub reason: Reason,
}

/// Orders configs: the higher one wins, wherever it came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConfigVersion {
    /// Unix milliseconds of the server's start.
    pub epoch: u64,
    /// Counts the configs of that epoch.
    pub version: u64,
}

/// The three limits that a client of the seed's contract knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SixFields {
    /// `max_concurrent_requests`.
    pub concurrency: u32,
    /// `max_requests_per_minute`.
    pub per_minute: u32,
    /// `request_delay_ms`.
    pub delay_ms: u32,
}

/// The least and the greatest value of a field, both allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Least value.
    pub min: u32,
    /// Greatest value.
    pub max: u32,
}

impl ThrottlingConfig {
    /// Range of [`max_concurrent_requests`](Self::max_concurrent_requests).
    pub const CONCURRENCY: Range = Range { min: 1, max: 10 };
    /// Range of [`max_requests_per_minute`](Self::max_requests_per_minute).
    pub const PER_MINUTE: Range = Range { min: 5, max: 100 };
    /// Range of [`request_delay_ms`](Self::request_delay_ms).
    pub const DELAY_MS: Range = Range { min: 100, max: 2000 };

    /// The config of a server on which nothing is wrong: NORMAL, nothing enforced.
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

    /// Where this config stands among others.
    pub const fn at(&self) -> ConfigVersion {
        ConfigVersion { epoch: self.epoch, version: self.version }
    }

    /// The content of a strong `ETag`, without its quotes: `<epoch>-<version>`.
    pub fn etag(&self) -> String {
        format!("{}-{}", self.epoch, self.version)
    }

    /// The three numbers of the seed's contract.
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

    /// The fixed policy's row of a level.
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
    /// The nearest value inside the range.
    pub const fn clamp(self, value: u32) -> u32 {
        if value < self.min {
            self.min
        } else if value > self.max {
            self.max
        } else {
            value
        }
    }

    /// The nearest value inside the range; fractions are cut, and what is not a number gives the least value.
    pub fn clamp_f64(self, value: f64) -> u32 {
        // `as` saturates and maps NaN to 0; the clamp does the rest.
        self.clamp(value as u32)
    }

    /// Whether the value lies inside the range.
    pub const fn contains(self, value: u32) -> bool {
        self.min <= value && value <= self.max
    }
}
