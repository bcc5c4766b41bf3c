//! Connections to the app: opened when needed, kept for a moment, never handed out when the app may have closed them.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::body::Body;
use http::{HeaderMap, HeaderValue};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use poolgate_server::settings::{UpstreamSettings, UpstreamUrl};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time,
};

use crate::failure::Failure;

/// Bytes of an answer's head, and of what is read ahead of its body. A slow reader costs a few times this.
const MAX_BUFFER: usize = 32 << 10;
/// How long a connection may take to be ready for the next request once an answer has been read.
const SETTLE: Duration = Duration::from_secs(1);

/// The connections to one app.
#[derive(Debug)]
pub(crate) struct Connections {
    url: UpstreamUrl,
    timeouts: ArcSwap<Timeouts>,
    most_idle: usize,
    idle: Mutex<Idle>,
}

#[derive(Debug)]
struct Timeouts {
    connect: Duration,
    keep_alive: Duration,
}

impl From<&UpstreamSettings> for Timeouts {
    fn from(settings: &UpstreamSettings) -> Self {
        Self { connect: settings.connect_timeout, keep_alive: settings.keep_alive }
    }
}

#[derive(Debug, Default)]
struct Idle {
    /// The one used last comes last.
    connections: Vec<Kept>,
    is_swept: bool,
}

#[derive(Debug)]
struct Kept {
    sender: SendRequest<Body>,
    until: Instant,
}

/// A connection to the app, for one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Body>,
    /// Whether it has carried a request before: the app may have closed it.
    pub(crate) is_reused: bool,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Connections {
    pub(crate) fn new(url: UpstreamUrl, settings: &UpstreamSettings, most_idle: usize) -> Arc<Self> {
        let timeouts = ArcSwap::from_pointee(Timeouts::from(settings));
        Arc::new(Self { url, timeouts, most_idle, idle: Mutex::default() })
    }

    /// Takes over these timeouts for what begins from now on.
    pub(crate) fn reload(&self, settings: &UpstreamSettings) {
        self.timeouts.store(Arc::new(settings.into()));
    }

    /// The connection that was used last, if any is kept.
    pub(crate) fn take_idle(&self) -> Option<Connection> {
        let now = Instant::now();
        let mut idle = self.idle();
        while let Some(Kept { sender, until }) = idle.connections.pop() {
            if until > now && sender.is_ready() {
                return Some(Connection { sender, is_reused: true });
            }
        }
        None
    }

    /// A new connection.
    pub(crate) async fn open(&self) -> Result<Connection, Failure> {
        let stream = time::timeout(self.timeouts.load().connect, self.connect());
        let stream = stream.await.map_err(|_| Failure::ConnectTimeout)?.map_err(Failure::Unreachable)?;
        let handshake = http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| Failure::of(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "A connection to the app ended");
            }
        });
        Ok(Connection { sender, is_reused: false })
    }

    async fn connect(&self) -> io::Result<Pin<Box<dyn Stream>>> {
        match &self.url {
            UpstreamUrl::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Box::pin(stream))
            }
            #[cfg(unix)]
            UpstreamUrl::Unix(path) => Ok(Box::pin(tokio::net::UnixStream::connect(path).await?)),
            #[cfg(not(unix))]
            UpstreamUrl::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Keeps a connection whose answer has been read, once it is ready for another request.
    pub(crate) async fn keep(self: Arc<Self>, mut connection: Connection, keep_alive: Option<Duration>) {
        let ours = self.timeouts.load().keep_alive;
        let keep_alive = keep_alive.map_or(ours, |theirs| ours.min(theirs));
        if keep_alive.is_zero() || !matches!(time::timeout(SETTLE, connection.sender.ready()).await, Ok(Ok(()))) {
            return;
        }
        let mut idle = self.idle();
        if idle.connections.len() >= self.most_idle {
            idle.connections.remove(0);
        }
        idle.connections.push(Kept { sender: connection.sender, until: Instant::now() + keep_alive });
        if !std::mem::replace(&mut idle.is_swept, true) {
            tokio::spawn(Arc::clone(&self).sweep());
        }
    }

    /// Closes idle connections as they age, until none is left.
    async fn sweep(self: Arc<Self>) {
        loop {
            let keep_alive = self.timeouts.load().keep_alive;
            time::sleep(keep_alive).await;
            let now = Instant::now();
            let mut idle = self.idle();
            idle.connections.retain(|kept| kept.until > now && !kept.sender.is_closed());
            if idle.connections.is_empty() {
                idle.is_swept = false;
                return;
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the app keeps the connection, less a margin for what is on its way, where it says so: `Keep-Alive: timeout=5`.
pub(crate) fn announced_keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("keep-alive").and_then(|value: &HeaderValue| value.to_str().ok())?;
    let timeout = value.split(',').find_map(|parameter| parameter.trim().strip_prefix("timeout="))?;
    let seconds: u64 = timeout.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).saturating_sub(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_says_how_long_it_keeps_a_connection() {
        let announced = |value: &'static str| {
            let headers =
                HeaderMap::from_iter([(http::HeaderName::from_static("keep-alive"), HeaderValue::from_static(value))]);
            announced_keep_alive(&headers)
        };
        assert_eq!(announced("timeout=5, max=100"), Some(Duration::from_secs(4)));
        assert_eq!(announced("max=100, timeout=1"), Some(Duration::ZERO));
        assert_eq!(announced("timeout=never"), None);
    }
}
