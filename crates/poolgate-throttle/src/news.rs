//! News about the server's config, from all sources.

use std::fmt;

use poolgate_types::{ConfigHeader, ConfigVersion, ThrottlingConfig};

/// What the client has learned about the config.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum News {
    /// The document, pushed or polled.
    Config(ThrottlingConfig),
    /// The header of a gated response.
    Header(ConfigHeader),
    /// This version is current: a 304 or a heartbeat.
    Current(ConfigVersion),
    /// The config route or the stream gave no answer.
    NoContact,
    /// The server has no config route (404 or 501): requests pass through until a document arrives.
    NotFound,
    /// A gated request succeeded and its response had no config header: the route is no longer behind a Poolgate.
    HeaderMissing,
    /// The client is closing: queued requests are rejected, later requests pass through, later news is ignored.
    Closed,
}

/// What [`Throttle::configure`](crate::Throttle::configure) did with the news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "`Missed` asks for the config to be fetched"]
#[non_exhaustive]
pub enum Configured {
    /// Other limits are in force now.
    Applied,
    /// Nothing new. News that confirms the current version restarts its time to live.
    Unchanged,
    /// Older than the known config, or from a server that allows less than another one; the limits stay.
    Older,
    /// A server has a config that this client does not know: fetch it. The known one is not renewed.
    Missed,
}

/// The config is malformed or out of range and is ignored; the last valid one stays in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidConfig {
    /// The wrong field by its wire name.
    pub field: &'static str,
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "throttling config: `{}` is out of range", self.field)
    }
}

impl std::error::Error for InvalidConfig {}
