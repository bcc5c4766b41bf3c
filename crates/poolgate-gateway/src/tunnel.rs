//! WebSockets: bytes in both directions, unread.

use std::{
    any::Any,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    time,
};
use tokio_util::sync::CancellationToken;

use crate::streams::StreamPlace;

/// Must live as long as the client's connection, tunnels included. The server that accepts connections puts it into the
/// extensions of a request that asks for an upgrade, so that tunnels count towards its limits.
#[derive(Clone)]
pub struct ConnectionGuard {
    _kept: Arc<dyn Any + Send + Sync>,
}

impl ConnectionGuard {
    /// Keeps this value.
    pub fn new(value: impl Any + Send + Sync) -> Self {
        Self { _kept: Arc::new(value) }
    }
}

impl std::fmt::Debug for ConnectionGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionGuard").finish_non_exhaustive()
    }
}

/// A client and an app that talk past the gate.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) client: OnUpgrade,
    pub(crate) app: OnUpgrade,
    pub(crate) idle_timeout: Duration,
    pub(crate) place: StreamPlace,
    pub(crate) guard: Option<ConnectionGuard>,
}

impl Tunnel {
    /// Carries bytes until one side ends, nothing has come for the idle time, or `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Self { client, app, idle_timeout, place: _place, guard: _guard } = self;
        let talk = async {
            let (client, app) = tokio::try_join!(client, app).map_err(io::Error::other)?;
            let activity = Activity::default();
            let mut client = Watched { stream: TokioIo::new(client), activity: activity.clone() };
            let mut app = TokioIo::new(app);
            tokio::select! {
                ended = copy_bidirectional(&mut client, &mut app) => ended.map(|_| ()),
                () = activity.idle_for(idle_timeout) => Err(io::ErrorKind::TimedOut.into()),
            }
        };
        match stop.run_until_cancelled(talk).await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%error, "A WebSocket ended early"),
            None => tracing::debug!("A WebSocket was cut off: the server stops"),
        }
    }
}

/// When something was last carried, in milliseconds.
#[derive(Clone, Debug)]
struct Activity {
    origin: Instant,
    newest: Arc<AtomicU64>,
}

impl Default for Activity {
    fn default() -> Self {
        Self { origin: Instant::now(), newest: Arc::default() }
    }
}

impl Activity {
    fn note(&self) {
        self.newest.store(self.now(), Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn idle_for(&self, limit: Duration) {
        loop {
            let idle = Duration::from_millis(self.now().saturating_sub(self.newest.load(Relaxed)));
            let left = limit.saturating_sub(idle);
            if left.is_zero() {
                return;
            }
            time::sleep(left).await;
        }
    }
}

/// A stream that notes when bytes pass.
struct Watched<S> {
    stream: S,
    activity: Activity,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.activity.note();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.activity.note();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
