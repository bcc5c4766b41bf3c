//! `watch.*`: watching another source, for apps in any language.

use std::fmt;

use poolgate_pool::{InvalidAddress, postgres_options};
use poolgate_types::Backend;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sqlx::postgres::PgConnectOptions;

use super::{mask, scheme, secret};

/// `watch.*`: watching another source instead of having a pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WatchSettings {
    /// `pgbouncer://user@host:6432/DATABASE` or `postgres://user@host/DATABASE`. Default: none; the server has a pool.
    pub url: Option<WatchUrl>,
    /// Maximum number of connections that work at the same time, 1 to 100,000. Default: the source's limit. For
    /// PostgreSQL set it to the sum of the apps' pools.
    pub capacity: Option<u32>,
    /// PostgreSQL: counts only sessions whose `application_name` has this prefix. Default: all sessions of the
    /// database.
    pub application: Option<String>,
    /// PgBouncer: mean number of transactions per request, 0.01 to 1,000. Default: 1.
    pub transactions_per_request: f64,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self { url: None, capacity: None, application: None, transactions_per_request: 1.0 }
    }
}

/// URL of a source. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct WatchUrl(String);

/// The kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchedKind {
    /// The pools of a PgBouncer.
    PgBouncer,
    /// The sessions of a PostgreSQL server.
    Postgres,
}

/// The URL is not that of a source. It is not repeated, because it may contain a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWatchUrl {
    /// Neither of the two schemes.
    #[error(
        "the URL must begin with pgbouncer:// or postgres:// (it is not repeated here, because it may contain a password)"
    )]
    Scheme,
    /// PgBouncer's console with PostgreSQL's scheme.
    #[error(
        "`pgbouncer` is PgBouncer's console: watch it with pgbouncer://user@host:6432/DATABASE, where DATABASE \
         is the one whose pools are watched"
    )]
    Console,
    /// The rest of the URL is invalid.
    #[error(transparent)]
    Rest(InvalidAddress),
}

impl WatchUrl {
    /// Parses it.
    ///
    /// # Errors
    ///
    /// [`InvalidWatchUrl`], which says what is valid.
    pub fn new(url: impl Into<String>) -> Result<Self, InvalidWatchUrl> {
        let url = Self(url.into().trim().to_owned());
        let (kind, options) = secret::quietly(|| url.parse())?;
        match (kind, options.get_database()) {
            (WatchedKind::Postgres, Some("pgbouncer")) => Err(InvalidWatchUrl::Console),
            (WatchedKind::PgBouncer | WatchedKind::Postgres, _) => Ok(url),
        }
    }

    /// The kind of source, and how to connect to it.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn parse(&self) -> Result<(WatchedKind, PgConnectOptions), InvalidWatchUrl> {
        let (scheme, rest) = self.0.split_once("://").ok_or(InvalidWatchUrl::Scheme)?;
        let kind = match scheme::backend(scheme) {
            Some(Backend::Postgres) => WatchedKind::Postgres,
            None if scheme::is_pgbouncer(scheme) => WatchedKind::PgBouncer,
            Some(Backend::Sqlite) | None => return Err(InvalidWatchUrl::Scheme),
        };
        let options = postgres_options(&format!("postgres://{rest}"));
        options.map(|options| (kind, options)).map_err(InvalidWatchUrl::Rest)
    }
}

impl fmt::Display for WatchUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        mask::url(&self.0, f)
    }
}

impl fmt::Debug for WatchUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for WatchUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WatchUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_says_what_is_watched() {
        let parse = |url: &str| WatchUrl::new(url).and_then(|url| url.parse());
        let (kind, options) = parse("pgbouncer://stats:secret@pooler:6432/shop").expect("a PgBouncer");
        assert_eq!((kind, options.get_database()), (WatchedKind::PgBouncer, Some("shop")));
        assert_eq!((options.get_host(), options.get_port()), ("pooler", 6432));
        assert_eq!(parse("postgres://watch@db/shop").expect("a PostgreSQL").0, WatchedKind::Postgres);
    }

    #[test]
    fn unwatchable_urls_are_refused_with_advice_but_without_the_password() {
        for (url, advice) in [
            ("mysql://app:hunter2@db/shop", "pgbouncer://"),
            ("pooler:6432", "pgbouncer://"),
            ("postgres://stats:hunter2@pooler:6432/pgbouncer", "the one whose pools are watched"),
            ("pgbouncer://stats:hunter2@pooler:port/shop", "cannot be read"),
        ] {
            let refused = WatchUrl::new(url).expect_err(url).to_string();
            assert!(refused.contains(advice) && !refused.contains("hunter2"), "{url}: {refused}");
        }
        let shown = format!("{:?}", WatchUrl::new("pgbouncer://stats:hunter2@pooler/shop").expect("right"));
        assert!(shown.contains("pooler") && !shown.contains("hunter2"), "{shown}");
    }
}
