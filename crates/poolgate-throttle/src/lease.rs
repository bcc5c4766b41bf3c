//! The config as a lease: which one holds, since when it is stale, and what it means then.

use std::time::Duration;

use poolgate_types::ConfigVersion;

use crate::{Configured, InvalidConfig, Limits, News, limits::Policy, stale};

/// What this client knows about the server's config.
#[derive(Debug)]
pub(crate) enum Lease {
    /// Nothing yet: requests pass through.
    Unknown,
    Held(Held),
    /// There is no such thing here: requests pass through.
    NotFound,
    /// The client was closed: requests pass through.
    Closed,
}

/// A config and how long it holds.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) policy: Policy,
    pub(crate) expires_at: Duration,
    /// Stale, and gated requests succeed without a config: nothing limits them any more.
    released: bool,
}

impl Lease {
    /// Takes in news. The higher version wins wherever it came from, and the document adds to its own header.
    pub(crate) fn learn(&mut self, news: &News, now: Duration) -> Result<Configured, InvalidConfig> {
        let configured = match (&mut *self, news) {
            (Self::Closed, _) | (_, News::NoContact) => Configured::Unchanged,
            (_, News::Closed) => self.become_passing(Self::Closed),
            (Self::NotFound, News::NotFound) => Configured::Unchanged,
            (_, News::NotFound) => self.become_passing(Self::NotFound),
            (Self::Held(held), news) => return held.learn(news, now),
            (_, News::Config(config)) => self.hold(Policy::from_config(config)?, now),
            (Self::Unknown, News::Header(header)) => self.hold(Policy::from_header(header, None)?, now),
            (Self::Unknown, News::Current(_)) => Configured::Missed,
            (Self::NotFound, News::Header(_) | News::Current(_)) => Configured::Unchanged,
            (Self::Unknown | Self::NotFound, News::HeaderMissing) => Configured::Unchanged,
        };
        Ok(configured)
    }

    /// The config, unless requests pass through.
    pub(crate) const fn held(&self) -> Option<&Held> {
        match self {
            Self::Held(held) => Some(held),
            Self::Unknown | Self::NotFound | Self::Closed => None,
        }
    }

    /// What limits at `now`.
    pub(crate) fn limits_at(&self, now: Duration) -> Limits {
        self.held().map_or(Limits::default(), |held| held.limits_at(now))
    }

    fn hold(&mut self, policy: Policy, now: Duration) -> Configured {
        *self = Self::Held(Held::new(policy, now));
        Configured::Applied
    }

    fn become_passing(&mut self, passing: Self) -> Configured {
        *self = passing;
        Configured::Applied
    }
}

impl Held {
    fn new(policy: Policy, now: Duration) -> Self {
        Self { policy, expires_at: now.saturating_add(policy.ttl), released: false }
    }

    pub(crate) fn is_stale(&self, now: Duration) -> bool {
        now >= self.expires_at
    }

    /// Limits act.
    pub(crate) const fn is_enforced(&self) -> bool {
        self.policy.enforced && !self.released
    }

    /// When the limits will be others though nothing is heard.
    pub(crate) fn next_change(&self, now: Duration) -> Option<Duration> {
        if !self.is_stale(now) {
            return Some(self.expires_at);
        }
        if self.is_enforced() { stale::next_step(now.saturating_sub(self.expires_at), now) } else { None }
    }

    /// A config that limits nothing has nothing to move when it goes stale.
    fn limits_at(&self, now: Duration) -> Limits {
        match (self.is_enforced(), self.is_stale(now)) {
            (false, _) => Limits::default(),
            (true, false) => self.policy.limits,
            (true, true) => stale::decayed(&self.policy.limits, now.saturating_sub(self.expires_at)),
        }
    }

    fn learn(&mut self, news: &News, now: Duration) -> Result<Configured, InvalidConfig> {
        let known = self.policy.at;
        let policy = match news {
            News::Config(config) => Policy::from_config(config)?,
            News::Header(header) => Policy::from_header(header, Some(&self.policy))?,
            News::Current(at) => return Ok(self.confirm(*at, now)),
            News::HeaderMissing if self.is_stale(now) && self.is_enforced() => {
                self.released = true;
                return Ok(Configured::Applied);
            }
            News::HeaderMissing | News::NoContact | News::NotFound | News::Closed => {
                return Ok(Configured::Unchanged);
            }
        };
        let completes = policy.at == known && self.policy.partial && !policy.partial;
        if policy.at > known || completes {
            *self = Self::new(policy, now);
            Ok(Configured::Applied)
        } else {
            Ok(self.confirm(policy.at, now))
        }
    }

    /// Somebody named a version: the known one starts its time to live again.
    fn confirm(&mut self, at: ConfigVersion, now: Duration) -> Configured {
        if at < self.policy.at {
            return Configured::Older;
        }
        if at > self.policy.at {
            return Configured::Missed;
        }
        self.expires_at = self.expires_at.max(now.saturating_add(self.policy.ttl));
        self.released = false;
        Configured::Unchanged
    }
}
