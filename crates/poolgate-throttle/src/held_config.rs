//! The config that this client holds, or why it holds none.

use std::time::Duration;

use crate::{
    limits::{Limits, Policy},
    news::{Configured, InvalidConfig, News},
    servers::{ServerConfig, Servers},
};

/// The server's config as far as this client knows it.
#[derive(Debug)]
pub(crate) enum HeldConfig {
    /// No news yet: requests pass through.
    Unknown,
    /// At least one server was heard: the config of one of them is obeyed.
    Known(Servers),
    /// The server has no config route: requests pass through.
    NotFound,
    /// The client was closed: requests pass through.
    Closed,
}

impl HeldConfig {
    /// Takes in news.
    pub(crate) fn learn(&mut self, news: &News, now: Duration) -> Result<Configured, InvalidConfig> {
        let configured = match (&mut *self, news) {
            (Self::Closed, _) | (_, News::NoContact) => Configured::Unchanged,
            (_, News::Closed) => self.become_passing(Self::Closed),
            (Self::NotFound, News::NotFound) => Configured::Unchanged,
            (_, News::NotFound) => self.become_passing(Self::NotFound),
            (Self::Known(servers), news) => return servers.learn(news, now),
            (_, News::Config(config)) => self.hold(Policy::from_config(config)?, now),
            (Self::Unknown, News::Header(header)) => self.hold(Policy::from_header(header, None)?, now),
            (Self::Unknown, News::Current(_)) => Configured::Missed,
            (Self::NotFound, News::Header(_) | News::Current(_)) => Configured::Unchanged,
            (Self::Unknown | Self::NotFound, News::HeaderMissing) => Configured::Unchanged,
        };
        Ok(configured)
    }

    /// The config that is obeyed at `now`, unless requests pass through.
    pub(crate) fn obeyed(&self, now: Duration) -> Option<&ServerConfig> {
        self.servers()?.obeyed(now)
    }

    /// The servers that were heard, unless requests pass through.
    pub(crate) const fn servers(&self) -> Option<&Servers> {
        match self {
            Self::Known(servers) => Some(servers),
            Self::Unknown | Self::NotFound | Self::Closed => None,
        }
    }

    /// The limits at `now`.
    pub(crate) fn limits_at(&self, now: Duration) -> Limits {
        self.obeyed(now).map_or(Limits::default(), |config| config.limits_at(now))
    }

    fn hold(&mut self, policy: Policy, now: Duration) -> Configured {
        *self = Self::Known(Servers::new(policy, now));
        Configured::Applied
    }

    fn become_passing(&mut self, passing: Self) -> Configured {
        *self = passing;
        Configured::Applied
    }
}
