//! Assembles the config and counts its versions.

use std::time::Duration;

use poolgate_types::{CircuitState, ConfigVersion, Health, Level, Reason, SixFields, ThrottlingConfig, timing};

use crate::breaker::Verdict;

/// A new rate is published when it differs by this share, and not more often than this.
const NEWS: f64 = 0.05;
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);

/// A client's concurrency covers this many round trips of its requests, so that the rate is what limits it.
const ROUND_TRIPS: f64 = 4.0;
/// Time that the network adds to a request's hold time, in seconds.
const NETWORK_SECONDS: f64 = 0.25;

/// The published config, and the state for deciding whether another one is news.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    config: ThrottlingConfig,
    rate_published_at: Option<Duration>,
}

/// The content of the next config, before it is compared with the present one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    pub(crate) health: Health,
    pub(crate) level: Level,
    pub(crate) reason: Reason,
    pub(crate) limits: Limits,
    pub(crate) breaker: Verdict,
}

/// The numbers that actuate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limits {
    /// Nothing is enforced.
    None,
    /// A fair rate, and the mean hold time in seconds that the concurrency is computed with.
    FairRate { per_second: f64, mean_hold: f64 },
    /// A row of the fixed policy.
    Row(SixFields),
}

impl Draft {
    /// Nothing is limited.
    pub(crate) const NORMAL: Self = Self {
        health: Health::Healthy,
        level: Level::Normal,
        reason: Reason::Healthy,
        limits: Limits::None,
        breaker: Verdict::CLOSED,
    };
}

impl Publisher {
    pub(crate) const fn new(epoch: u64) -> Self {
        let config = ThrottlingConfig::normal(ConfigVersion { epoch, version: 1 });
        Self { config, rate_published_at: None }
    }

    pub(crate) const fn config(&self) -> &ThrottlingConfig {
        &self.config
    }

    /// Publishes the draft if it differs from the config in force. `true` if it did.
    pub(crate) fn publish(&mut self, draft: Draft, now: Duration) -> bool {
        let mut next = self.config.clone();
        next.throttling_level = draft.level;
        next.emergency_mode_active = draft.level == Level::Emergency;
        next.health = draft.health;
        next.reason = draft.reason;
        let closed = draft.breaker.state == CircuitState::Closed;
        next.circuit_breaker_open = !closed;
        next.probe_fraction = draft.breaker.probe_fraction;
        next.retry_after_seconds = draft.breaker.retry_after.map(|after| after.as_secs_f64().ceil().max(1.0) as u32);
        self.set_limits(&mut next, draft.limits, now);
        let (poll, ttl) = if next.enforced || !closed {
            (timing::POLL_ENFORCED, timing::TTL_ENFORCED)
        } else {
            (timing::POLL, timing::TTL)
        };
        next.poll_after_seconds = timing::seconds(poll);
        next.ttl_seconds = timing::seconds(ttl);

        if next == self.config {
            return false;
        }
        if next.fair_rate_per_second != self.config.fair_rate_per_second {
            self.rate_published_at = Some(now);
        }
        next.version += 1;
        self.config = next;
        true
    }

    fn set_limits(&self, next: &mut ThrottlingConfig, limits: Limits, now: Duration) {
        next.enforced = !matches!(limits, Limits::None);
        let six = match limits {
            Limits::FairRate { per_second, .. } if !self.is_news(per_second, now) => return,
            Limits::FairRate { per_second, mean_hold } => {
                next.fair_rate_per_second = Some(per_second);
                six_fields(per_second, mean_hold)
            }
            Limits::Row(row) => {
                next.fair_rate_per_second = None;
                row
            }
            Limits::None => {
                next.fair_rate_per_second = None;
                // Clients that know only the six fields must send the least possible while the breaker is not closed.
                if next.circuit_breaker_open { SixFields::EMERGENCY } else { SixFields::NORMAL }
            }
        };
        next.max_concurrent_requests = six.concurrency;
        next.max_requests_per_minute = six.per_minute;
        next.request_delay_ms = six.delay_ms;
    }

    fn is_news(&self, rate: f64, now: Duration) -> bool {
        let Some(published) = self.config.fair_rate_per_second else {
            return true;
        };
        let rested = self.rate_published_at.is_none_or(|at| now.saturating_sub(at) >= SHORTEST_PAUSE);
        rested && (rate / published - 1.0).abs() >= NEWS
    }
}

/// The six fields that come nearest to a rate, for clients that know only those.
fn six_fields(rate: f64, mean_hold: f64) -> SixFields {
    let in_flight = ROUND_TRIPS * rate * (mean_hold + NETWORK_SECONDS);
    SixFields {
        concurrency: ThrottlingConfig::CONCURRENCY.clamp_f64(in_flight.ceil()),
        per_minute: ThrottlingConfig::PER_MINUTE.clamp_f64((60.0 * rate).ceil()),
        delay_ms: ThrottlingConfig::DELAY_MS.clamp_f64(500.0 / rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(per_second: f64) -> Draft {
        Draft {
            level: Level::Moderate,
            reason: Reason::DemandAboveCapacity,
            limits: Limits::FairRate { per_second, mean_hold: 0.05 },
            ..Draft::NORMAL
        }
    }

    const fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_rate_is_news_at_five_percent_and_at_most_five_times_a_second() {
        let mut publisher = Publisher::new(7);
        assert!(publisher.publish(draft(1.0), at(0)));
        assert!(!publisher.publish(draft(1.04), at(1000)));
        assert!(publisher.publish(draft(1.06), at(1100)));
        assert!(!publisher.publish(draft(2.0), at(1250)));
        assert!(publisher.publish(draft(2.0), at(1300)));
        assert_eq!(publisher.config().at(), ConfigVersion { epoch: 7, version: 4 });
    }

    #[test]
    fn the_six_fields_follow_the_rate_within_their_ranges() {
        assert_eq!(six_fields(2.4, 0.05), SixFields { concurrency: 3, per_minute: 100, delay_ms: 208 });
        assert_eq!(six_fields(0.01, 0.05), SixFields { concurrency: 1, per_minute: 5, delay_ms: 2000 });
        assert_eq!(six_fields(1e9, 0.05), SixFields { concurrency: 10, per_minute: 100, delay_ms: 100 });
    }

    #[test]
    fn the_same_content_keeps_its_version() {
        let mut publisher = Publisher::new(7);
        for tick in 0..100 {
            assert!(!publisher.publish(Draft::NORMAL, at(100 * tick)));
        }
        assert_eq!(publisher.config(), &ThrottlingConfig::normal(ConfigVersion { epoch: 7, version: 1 }));
    }
}
