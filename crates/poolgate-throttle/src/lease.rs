//! The config that this client holds, or why it holds none.

use std::time::Duration;

use crate::{
    Configured, InvalidConfig, Limits, News,
    limits::Policy,
    servers::{Held, Servers},
};

/// The server's config as far as this client knows it.
#[derive(Debug)]
pub(crate) enum Lease {
    /// No news yet: requests pass through.
    Unknown,
    Held(Servers),
    /// The server has no config route: requests pass through.
    NotFound,
    /// The client was closed: requests pass through.
    Closed,
}

impl Lease {
    /// Takes in news.
    pub(crate) fn learn(&mut self, news: &News, now: Duration) -> Result<Configured, InvalidConfig> {
        let configured = match (&mut *self, news) {
            (Self::Closed, _) | (_, News::NoContact) => Configured::Unchanged,
            (_, News::Closed) => self.become_passing(Self::Closed),
            (Self::NotFound, News::NotFound) => Configured::Unchanged,
            (_, News::NotFound) => self.become_passing(Self::NotFound),
            (Self::Held(servers), news) => return servers.learn(news, now),
            (_, News::Config(config)) => self.hold(Policy::from_config(config)?, now),
            (Self::Unknown, News::Header(header)) => self.hold(Policy::from_header(header, None)?, now),
            (Self::Unknown, News::Current(_)) => Configured::Missed,
            (Self::NotFound, News::Header(_) | News::Current(_)) => Configured::Unchanged,
            (Self::Unknown | Self::NotFound, News::HeaderMissing) => Configured::Unchanged,
        };
        Ok(configured)
    }

    /// The config that is obeyed at `now`, unless requests pass through.
    pub(crate) fn held(&self, now: Duration) -> Option<&Held> {
        self.servers()?.obeyed(now)
    }

    /// The servers that were heard, unless requests pass through.
    pub(crate) const fn servers(&self) -> Option<&Servers> {
        match self {
            Self::Held(servers) => Some(servers),
            Self::Unknown | Self::NotFound | Self::Closed => None,
        }
    }

    /// The limits at `now`.
    pub(crate) fn limits_at(&self, now: Duration) -> Limits {
        self.held(now).map_or(Limits::default(), |held| held.limits_at(now))
    }

    fn hold(&mut self, policy: Policy, now: Duration) -> Configured {
        *self = Self::Held(Servers::new(policy, now));
        Configured::Applied
    }

    fn become_passing(&mut self, passing: Self) -> Configured {
        *self = passing;
        Configured::Applied
    }
}
