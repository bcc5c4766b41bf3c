//! What a client learns about the server's config, from wherever.

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
    /// The server has no such route (404 or 501): from here on requests pass through, until a document arrives after
    /// all.
    NotFound,
    /// A gated request succeeded and its response carried no config: there is no Poolgate behind the route any more.
    HeaderMissing,
    /// The client is being closed: what waits is rejected, later requests pass through, later news is ignored.
    Closed,
}

/// What [`Throttle::configure`](crate::Throttle::configure) did with the news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "`Missed` asks for the config to be fetched"]
#[non_exhaustive]
pub enum Configured {
    /// Something else is in force now.
    Applied,
    /// Nothing new; where the version is the current one, its time to live starts again.
    Unchanged,
    /// Older than what is known, or of a server that does not allow as much as another one; what is in force stays.
    Older,
    /// A server has a config that this client does not know: fetch it. It renews nothing.
    Missed,
}

/// The config was malformed or out of range and is ignored; the last good one stays in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidConfig {
    /// The field that is wrong, as it is called on the wire.
    pub field: &'static str,
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "throttling config: `{}` is out of range", self.field)
    }
}

impl std::error::Error for InvalidConfig {}
