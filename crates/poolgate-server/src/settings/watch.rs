//! `watch.*`: watching another source, for apps in any language.

use std::{fmt, path::PathBuf};

use documented::DocumentedFields;
use http::uri::{Authority, PathAndQuery, Uri};
use poolgate_pool::{InvalidAddress, postgres_options};
use poolgate_types::Backend;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sqlx::postgres::PgConnectOptions;

use super::{MetricSelector, mask, scheme, secret};

/// `watch.*`: watching another source instead of having a pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct WatchSettings {
    /// `pgbouncer://user@host:6432/DATABASE`, `postgres://user@host/DATABASE`, `haproxy:///admin.sock?backend=NAME`,
    /// `haproxy://host:port?backend=NAME` or `metrics+http://host:port/path`. Default: none; the server has a pool.
    pub url: Option<WatchUrl>,
    /// Maximum number of connections that work at the same time, 1 to 100,000. Default: the source's limit. For
    /// PostgreSQL set it to the sum of the apps' pools.
    pub capacity: Option<u32>,
    /// PostgreSQL: counts only sessions whose `application_name` has this prefix. Default: all sessions of the
    /// database.
    pub application: Option<String>,
    /// PgBouncer: mean number of transactions per request, 0.01 to 1,000. Default: 1. Does not act behind a gateway, which
    /// counts requests itself.
    pub transactions_per_request: f64,
    /// Metrics: the names of an app that has names of its own.
    pub metrics: MetricNames,
}

/// `watch.metrics.*`: the series that show a pool, each as a name, with labels if only some of its series count:
/// `db_pool{state="used"}`. The values of several series are added up. Default: the names of OpenTelemetry
/// (`db_client_connection_…`), Micrometer and HikariCP (`hikaricp_…`), and Go's `database/sql` (`go_sql_…`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct MetricNames {
    /// The pool, if the app has several: the value of a label such as `pool`, `pool_name` or `db_name`. Default: all.
    pub pool: Option<String>,
    /// Connections in use.
    pub in_use: Option<MetricSelector>,
    /// Open connections that are not in use.
    pub idle: Option<MetricSelector>,
    /// Connections that may be open.
    pub max: Option<MetricSelector>,
    /// Callers that wait for a connection.
    pub waiting: Option<MetricSelector>,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            url: None,
            capacity: None,
            application: None,
            transactions_per_request: 1.0,
            metrics: MetricNames::default(),
        }
    }
}

/// URL of a source. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct WatchUrl(String);

/// What is watched, and where it is.
#[derive(Clone, Debug)]
pub enum WatchTarget {
    /// The pools of a PgBouncer.
    PgBouncer(Box<PgConnectOptions>),
    /// The sessions of a PostgreSQL server.
    Postgres(Box<PgConnectOptions>),
    /// A backend of an HAProxy.
    HaProxy(HaProxyAddress),
    /// The metrics of an app.
    Metrics(MetricsAddress),
}

/// Where HAProxy's runtime API is, and the name of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaProxyAddress {
    /// Where it listens.
    pub socket: HaProxySocket,
    /// Up to 200 letters, digits, `.`, `-`, `_` and `:`.
    pub backend: String,
}

/// Where HAProxy's runtime API listens (`stats socket` in its settings).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HaProxySocket {
    /// A socket in the file system.
    Unix(PathBuf),
    /// Host and port.
    Tcp(Authority),
}

/// Where an app shows its metrics, over plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsAddress {
    /// Host and port.
    pub authority: Authority,
    /// Path and query.
    pub target: PathAndQuery,
}

/// The URL is not that of a source. It is not repeated, because it may contain a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWatchUrl {
    /// None of the schemes.
    #[error(
        "the URL must begin with pgbouncer:// or postgres://, haproxy:// or metrics+http:// (it is not repeated here, \
         because it may contain a password)"
    )]
    Scheme,
    /// HAProxy's URL without a socket or a backend.
    #[error("HAProxy is watched with haproxy:///path/admin.sock?backend=NAME or haproxy://host:port?backend=NAME")]
    HaProxy,
    /// The URL of metrics without a host, or with a user.
    #[error(
        "an app's metrics are watched with metrics+http://host:port/path, without a user; for TLS put a proxy between"
    )]
    Metrics,
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
        match secret::quietly(|| url.parse())? {
            WatchTarget::Postgres(options) if options.get_database() == Some("pgbouncer") => {
                Err(InvalidWatchUrl::Console)
            }
            _ => Ok(url),
        }
    }

    /// The kind of source, and where it is.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn parse(&self) -> Result<WatchTarget, InvalidWatchUrl> {
        let (scheme, rest) = self.0.split_once("://").ok_or(InvalidWatchUrl::Scheme)?;
        let postgres = || postgres_options(&format!("postgres://{rest}")).map(Box::new).map_err(InvalidWatchUrl::Rest);
        match scheme::backend(scheme) {
            Some(Backend::Postgres) => postgres().map(WatchTarget::Postgres),
            None if scheme::is_pgbouncer(scheme) => postgres().map(WatchTarget::PgBouncer),
            None if scheme.eq_ignore_ascii_case("haproxy") => haproxy(rest).map(WatchTarget::HaProxy),
            None if scheme.eq_ignore_ascii_case("metrics+http") => metrics(rest).map(WatchTarget::Metrics),
            Some(Backend::Sqlite) | None => Err(InvalidWatchUrl::Scheme),
        }
    }
}

fn haproxy(rest: &str) -> Result<HaProxyAddress, InvalidWatchUrl> {
    let (place, query) = rest.split_once('?').ok_or(InvalidWatchUrl::HaProxy)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    // What follows goes into a command.
    let backend = query.strip_prefix("backend=").filter(|name| (1..=200).contains(&name.len()));
    let backend = backend.filter(|name| name.chars().all(is_plain)).ok_or(InvalidWatchUrl::HaProxy)?.to_owned();
    let socket = if place.starts_with('/') {
        HaProxySocket::Unix(place.into())
    } else {
        HaProxySocket::Tcp(authority(place.strip_suffix('/').unwrap_or(place)).ok_or(InvalidWatchUrl::HaProxy)?)
    };
    Ok(HaProxyAddress { socket, backend })
}

fn metrics(rest: &str) -> Result<MetricsAddress, InvalidWatchUrl> {
    let uri: Uri = format!("http://{rest}").parse().map_err(|_| InvalidWatchUrl::Metrics)?;
    let named = uri.authority().map(Authority::as_str).unwrap_or_default();
    let with_port = if uri.port().is_some() { named.to_owned() } else { format!("{named}:80") };
    let authority = authority(&with_port).ok_or(InvalidWatchUrl::Metrics)?;
    let target = match uri.path_and_query() {
        Some(target) if target.path() != "/" => target.clone(),
        Some(_) | None => PathAndQuery::from_static("/metrics"),
    };
    Ok(MetricsAddress { authority, target })
}

/// Host and port, without a user.
fn authority(text: &str) -> Option<Authority> {
    let authority: Authority = text.parse().ok()?;
    (authority.port_u16().is_some() && !authority.host().is_empty() && !text.contains('@')).then_some(authority)
}

impl fmt::Display for WatchUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parse() {
            Ok(WatchTarget::HaProxy(address)) => write!(f, "haproxy://{address}"),
            Ok(WatchTarget::Metrics(address)) => write!(f, "metrics+http://{address}"),
            Ok(WatchTarget::PgBouncer(_) | WatchTarget::Postgres(_)) | Err(_) => mask::url(&self.0, f),
        }
    }
}

impl fmt::Display for HaProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            HaProxySocket::Unix(path) => write!(f, "{}", path.display()),
            HaProxySocket::Tcp(authority) => write!(f, "{authority}"),
        }?;
        write!(f, "?backend={}", self.backend)
    }
}

/// Without the query, which may contain a token.
impl fmt::Display for MetricsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.authority, self.target.path())
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

    fn target(url: &str) -> WatchTarget {
        WatchUrl::new(url).and_then(|url| url.parse()).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn the_scheme_says_what_is_watched() {
        let WatchTarget::PgBouncer(options) = target("pgbouncer://stats:secret@pooler:6432/shop") else {
            panic!("a PgBouncer");
        };
        assert_eq!(options.get_database(), Some("shop"));
        assert_eq!((options.get_host(), options.get_port()), ("pooler", 6432));
        assert!(matches!(target("postgres://watch@db/shop"), WatchTarget::Postgres(_)));
        for (url, shown) in [
            ("haproxy:///run/haproxy/admin.sock?backend=shop", "haproxy:///run/haproxy/admin.sock?backend=shop"),
            ("haproxy://127.0.0.1:9999/?backend=be_shop.1", "haproxy://127.0.0.1:9999?backend=be_shop.1"),
        ] {
            assert!(matches!(target(url), WatchTarget::HaProxy(_)), "{url}");
            assert_eq!(WatchUrl::new(url).expect("right").to_string(), shown);
        }
        for (url, authority, target_of) in [
            ("metrics+http://app:9000/metrics", "app:9000", "/metrics"),
            ("metrics+http://app", "app:80", "/metrics"),
            ("metrics+http://[::1]:9000/actuator/prometheus?token=1", "[::1]:9000", "/actuator/prometheus?token=1"),
        ] {
            let WatchTarget::Metrics(address) = target(url) else { panic!("{url}") };
            assert_eq!((address.authority.as_str(), address.target.as_str()), (authority, target_of));
            assert!(!WatchUrl::new(url).expect("right").to_string().contains("token"), "{url}");
        }
    }

    #[test]
    fn unwatchable_urls_are_refused_with_advice_but_without_the_password() {
        for (url, advice) in [
            ("mysql://app:hunter2@db/shop", "pgbouncer://"),
            ("pooler:6432", "pgbouncer://"),
            ("postgres://stats:hunter2@pooler:6432/pgbouncer", "the one whose pools are watched"),
            ("pgbouncer://stats:hunter2@pooler:port/shop", "cannot be read"),
            ("haproxy:///run/haproxy/admin.sock", "?backend=NAME"),
            ("haproxy://127.0.0.1?backend=shop", "host:port"),
            ("haproxy:///admin.sock?backend=shop;disable%20server", "?backend=NAME"),
            ("metrics+http://stats:hunter2@app:9000/metrics", "without a user"),
            ("metrics+https://app/metrics", "metrics+http://"),
        ] {
            let refused = WatchUrl::new(url).expect_err(url).to_string();
            assert!(refused.contains(advice) && !refused.contains("hunter2"), "{url}: {refused}");
        }
        let shown = format!("{:?}", WatchUrl::new("pgbouncer://stats:hunter2@pooler/shop").expect("right"));
        assert!(shown.contains("pooler") && !shown.contains("hunter2"), "{shown}");
    }
}
