//! `upstream.*` and `gateway.*`: the app behind the gateway.

use std::{fmt, path::PathBuf, time::Duration};

use documented::DocumentedFields;
use http::uri::{Authority, Uri};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::duration;

/// `upstream.*`: the app that the gateway passes requests on to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct UpstreamSettings {
    /// `http://host:port` or `unix:/path/of/a/socket`. Default: none, the server is no gateway.
    pub url: Option<UpstreamUrl>,
    /// How long connecting to the app may take, 10 ms to 1 min. Default: 2 s.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// How long the app may take for the head of an answer once it has the request, and for each next piece of the body,
    /// 1 s to 1 h. Event streams and WebSockets have `idle_timeout` instead. Default: 60 s.
    #[serde(with = "duration")]
    pub response_timeout: Duration,
    /// How long an event stream or a WebSocket may be silent, 1 s to 24 h. Default: 1 h.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// How long an unused connection to the app is kept, up to 10 min; less where the app's `Keep-Alive` says so. Shorter
    /// than the app keeps its own (gunicorn 2 s, uvicorn and Node 5 s), or requests meet connections that are being closed.
    /// 0 s: each request has its own. Default: 1500 ms.
    #[serde(with = "duration")]
    pub keep_alive: Duration,
    /// What happens to a request whose client has left before the answer: `linger`, its permit stays with it until the
    /// app has answered; or `close`, for apps that stop working when their client leaves. Default: linger.
    pub on_abort: OnAbort,
    /// Bytes of a request's body. Default: none, any number.
    pub max_body_bytes: Option<u64>,
    /// Event streams and WebSockets open at the same time, 1 to 1,000,000; the next gets 503. They hold no permit.
    /// Default: 10,000.
    pub max_streams: u32,
    /// A path of the app that answers 2xx or 3xx while its database can be used, such as `/healthz`. It is asked every
    /// second while in doubt, and every 5 s otherwise. Not for a server that watches a source (`watch.url`). Default:
    /// none; then the app counts as working while it can be connected to.
    pub health_path: Option<String>,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            url: None,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(3600),
            keep_alive: Duration::from_millis(1500),
            on_abort: OnAbort::Linger,
            max_body_bytes: None,
            max_streams: 10_000,
            health_path: None,
        }
    }
}

/// What happens to a request whose client has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnAbort {
    /// The permit stays with it until the app has answered: for apps that do not notice and go on working (gunicorn,
    /// Rails, PHP, most handlers of FastAPI).
    #[default]
    Linger,
    /// The connection to the app is closed, and the permit goes back: for apps that stop working then.
    Close,
}

/// `gateway.*`: what of the public address is Poolgate's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GatewaySettings {
    /// Requests to paths below this one are Poolgate's; all others are the app's. Begins and ends with a slash. Default:
    /// `/api/v1/health/`.
    pub prefix: String,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self { prefix: "/api/v1/health/".to_owned() }
    }
}

/// Where the app is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamUrl {
    /// A host and a port.
    Tcp {
        /// Name or address; an IPv6 address without brackets.
        host: String,
        /// The port; 80 where the URL has none.
        port: u16,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

/// The URL is not one of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the URL must be http://host:port or unix:/path (without user, path or query; for TLS to the app, put a proxy between)"
)]
pub struct InvalidUpstreamUrl;

impl UpstreamUrl {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`InvalidUpstreamUrl`], which says what would be right.
    pub fn new(url: &str) -> Result<Self, InvalidUpstreamUrl> {
        let url = url.trim();
        if let Some(path) = url.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(InvalidUpstreamUrl) };
        }
        let uri: Uri = url.parse().map_err(|_| InvalidUpstreamUrl)?;
        let has_rest = uri.path_and_query().is_some_and(|rest| rest.as_str() != "/");
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@') && !has_rest);
        match (uri.scheme_str(), authority) {
            (Some("http"), Some(authority)) => Self::tcp(authority),
            _ => Err(InvalidUpstreamUrl),
        }
    }

    fn tcp(authority: &Authority) -> Result<Self, InvalidUpstreamUrl> {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let has_port = authority.as_str().len() > authority.host().len();
        match (authority.port_u16(), has_port) {
            (Some(port), _) if port > 0 && !host.is_empty() => Ok(Self::Tcp { host, port }),
            (None, false) if !host.is_empty() => Ok(Self::Tcp { host, port: 80 }),
            _ => Err(InvalidUpstreamUrl),
        }
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Serialize for UpstreamUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UpstreamUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_at_a_port_or_a_socket() {
        for (url, shown) in [
            ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
            (" http://app/ ", "http://app:80"),
            ("http://[::1]:8001", "http://[::1]:8001"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
            ("unix:///run/app.sock", "unix:/run/app.sock"),
        ] {
            assert_eq!(UpstreamUrl::new(url).map(|url| url.to_string()).as_deref(), Ok(shown), "{url}");
        }
        for url in [
            "",
            "127.0.0.1:8001",
            "https://app:8001",
            "http://user:hunter2@app:8001",
            "http://app:8001/path",
            "http://app:8001?query",
            "http://app:0",
            "http://app:port",
            "http://:8001",
            "unix:app.sock",
        ] {
            assert_eq!(UpstreamUrl::new(url), Err(InvalidUpstreamUrl), "{url}");
        }
    }
}
