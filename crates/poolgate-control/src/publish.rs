//! Assembles the config and counts its versions.

use std::time::Duration;

use poolgate_types::{CircuitState, ConfigVersion, Health, Level, Reason, SixFields, ThrottlingConfig, timing};

use crate::breaker::Verdict;

/// A new rate is published when it differs by the noise of one second's requests at this capacity, within these bounds:
/// a smaller change is no news, because as many more or less come by chance. And not more often than this.
const NEWS: (f64, f64) = (0.05, 0.1);
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
    numbering: Numbering,
    /// Another server publishes, and its config is in force.
    follows: bool,
}

/// How versions are numbered.
#[derive(Clone, Copy, Debug)]
struct Numbering {
    step: u64,
    offset: u64,
}

impl Numbering {
    /// The lowest version of this numbering in the step after `version`.
    const fn above(self, version: u64) -> u64 {
        (version / self.step + 1) * self.step + self.offset
    }
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
    /// A fair rate, the mean hold time in seconds that the concurrency is computed with, and the capacity in requests a
    /// second, if it is known.
    FairRate { per_second: f64, mean_hold: f64, capacity: Option<f64> },
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
        Self { config, rate_published_at: None, numbering: Numbering { step: 1, offset: 0 }, follows: false }
    }

    /// Publishes from now on, with versions that are `offset` modulo `step`: those of several servers differ. The first
    /// one is above `known`.
    pub(crate) fn lead(&mut self, known: ConfigVersion, step: u64, offset: u64) {
        self.numbering = Numbering { step: step.max(1), offset };
        self.follows = false;
        if known > self.config.at() {
            (self.config.epoch, self.config.version) = (known.epoch, self.numbering.above(known.version));
        }
    }

    /// Takes over what another server has published, and publishes nothing.
    pub(crate) fn follow(&mut self, config: &ThrottlingConfig) {
        self.follows = true;
        if *config != self.config {
            self.config = config.clone();
        }
    }

    pub(crate) const fn config(&self) -> &ThrottlingConfig {
        &self.config
    }

    /// Publishes the draft if it differs from the config in force. `true` if it did.
    pub(crate) fn publish(&mut self, draft: Draft, now: Duration) -> bool {
        if self.follows {
            return false;
        }
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
        next.version = self.numbering.above(next.version);
        self.config = next;
        true
    }

    fn set_limits(&self, next: &mut ThrottlingConfig, limits: Limits, now: Duration) {
        next.enforced = !matches!(limits, Limits::None);
        let six = match limits {
            Limits::FairRate { per_second, capacity, .. } if !self.is_news(per_second, capacity, now) => return,
            Limits::FairRate { per_second, mean_hold, .. } => {
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

    fn is_news(&self, rate: f64, capacity: Option<f64>, now: Duration) -> bool {
        let Some(published) = self.config.fair_rate_per_second else {
            return true;
        };
        let rested = self.rate_published_at.is_none_or(|at| now.saturating_sub(at) >= SHORTEST_PAUSE);
        let (least, most) = NEWS;
        let news = capacity.map_or(least, |capacity| capacity.sqrt().recip().clamp(least, most));
        rested && (rate / published - 1.0).abs() >= news
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
            limits: Limits::FairRate { per_second, mean_hold: 0.05, capacity: None },
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
    fn noise_is_no_news() {
        for (capacity, news) in [(4000.0, 0.05), (200.0, 0.0707), (10.0, 0.1)] {
            let mut publisher = Publisher::new(7);
            let draft = |per_second| Draft {
                limits: Limits::FairRate { per_second, mean_hold: 0.05, capacity: Some(capacity) },
                ..draft(per_second)
            };
            assert!(publisher.publish(draft(1.0), at(0)));
            assert!(!publisher.publish(draft(0.99 * news + 1.0), at(1000)), "{capacity}");
            assert!(publisher.publish(draft(1.01 * news + 1.0), at(2000)), "{capacity}");
        }
    }

    #[test]
    fn two_servers_never_publish_the_same_version_and_each_goes_on_above_the_other() {
        let mut servers = [Publisher::new(7), Publisher::new(8)];
        let mut published = Vec::new();
        for turn in 0..10_u32 {
            for number in [0, 1] {
                let [one, other] = &mut servers;
                let (server, follower) = if number == 0 { (one, other) } else { (other, one) };
                server.lead(ConfigVersion::default(), 64, number);
                let moment = 1000 * u64::from(turn) + 500 * number;
                assert!(server.publish(draft(f64::from(turn) + 1.0 + number as f64 / 2.0), at(moment)));
                published.push(server.config().at());
                follower.follow(server.config());
                assert!(!follower.publish(draft(50.0), at(moment)));
            }
            assert!(servers[0].config() == servers[1].config());
        }
        assert!(published.is_sorted_by(|one, other| one < other), "{published:?}");
        assert!(published.iter().all(|at| at.epoch == 7), "a newcomer adopts the epoch");
        let [one, _] = &mut servers;
        one.lead(ConfigVersion { epoch: 7, version: 6500 }, 64, 3);
        assert_eq!(one.config().at(), ConfigVersion { epoch: 7, version: 6531 });
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
