//! Accepts connections, within limits, until the shutdown.
//!
//! It drives hyper directly because `axum::serve` bounds neither the heads' size and time nor the connections.

mod connections;
mod turns;

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{body::Body, extract::ConnectInfo, response::Response};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use poolgate_server::settings::ServerSettings;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{self, Instant},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt};

use self::{
    connections::{Connections, Place},
    turns::{LastWord, Turn, TurnLimits, TurnStream},
};

/// The connection's own limit lies this far above the one that is reported to the client.
const HEAD_SLACK: usize = 16 * 1024;
/// Pause after an accept failed for lack of resources (descriptors); an immediate retry would only burn CPU time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Minimum time between two warnings about failed accepts.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Served {
    /// All requests had ended.
    Drained,
    /// Requests were cut off at the deadline.
    CutOff,
}

/// Serves `app` until `stop`, then waits up to `server.drain_timeout` for requests to end. A head that has begun has one
/// second more to arrive. Event streams must end by themselves at `stop`, or they last until the deadline.
pub async fn serve<App>(listener: TcpListener, app: App, settings: &ServerSettings, stop: &CancellationToken) -> Served
where
    App: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    App::Future: Send,
{
    let connections = Connections::new(settings);
    let answering = TaskTracker::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        // hyper's timeout would also run between two requests; `TurnStream` distinguishes the two.
        .header_read_timeout(None)
        .max_buf_size(settings.max_header_bytes as usize + HEAD_SLACK);
    let turns = TurnLimits { head: settings.header_timeout, idle: settings.keep_alive_timeout };
    let mut failures = AcceptFailures::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Without room for it, the connection is closed at once.
                let Some(place) = connections.admit(peer.ip()) else { continue };
                let (write_timeout, stop) = (settings.write_timeout, stop.clone());
                let connection = Connection { stream, peer, turns, write_timeout, place, stop };
                answering.spawn(answer(http.clone(), connection, app.clone()));
            }
            Err(error) => {
                failures.tell(&error);
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // From here on other processes can bind the port.
    drop(listener);
    answering.close();
    match time::timeout(settings.drain_timeout, answering.wait()).await {
        Ok(()) => Served::Drained,
        Err(_) => Served::CutOff,
    }
}

/// Logs failed accepts, but not each of them: without descriptors there are ten a second.
#[derive(Default)]
struct AcceptFailures {
    warned: Option<Instant>,
    untold: u64,
}

impl AcceptFailures {
    fn tell(&mut self, error: &io::Error) {
        if self.warned.is_some_and(|warned| warned.elapsed() < WARNING_INTERVAL) {
            self.untold += 1;
            return;
        }
        tracing::warn!(%error, more_before = self.untold, "Cannot accept a connection");
        *self = Self { warned: Some(Instant::now()), untold: 0 };
    }
}

/// An accepted connection.
struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    turns: TurnLimits,
    write_timeout: Duration,
    place: Arc<Place>,
    stop: CancellationToken,
}

async fn answer<App>(http: http1::Builder, connection: Connection, app: App)
where
    App: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    App::Future: Send,
{
    let Connection { stream, peer, turns, write_timeout, place, stop } = connection;
    // Sends small answers at once; if this fails they are sent a little later.
    let _ = stream.set_nodelay(true);
    give_up_on_the_dead(&stream, write_timeout);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write_timeout));
    let turn = Turn::default();
    let stream = TurnStream::new(Box::pin(stream), turn.clone(), turns, stop.clone());
    let (evicted, begun) = (place.evicted(), turn.clone());
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let (app, turn, in_progress) = (app.clone(), turn.take(), place.request());
        #[cfg(feature = "gateway")]
        if request.headers().contains_key(http::header::UPGRADE) {
            request
                .extensions_mut()
                .insert(poolgate_gateway::ConnectionGuard::new((Arc::clone(&in_progress), Arc::clone(&turn))));
        }
        async move {
            let response = app.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {});
            Ok::<_, Infallible>(response.map(|body| LastWord::new(in_progress.until_the_end_of(body), turn)))
        }
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let ended = tokio::select! {
        ended = evicted.run_until_cancelled(connection.as_mut()) => ended,
        () = stop.cancelled() => {
            // hyper would close a connection that has brought no byte yet, but its client is about to send its request.
            // `TurnStream` ends it if nothing comes.
            let ended = tokio::select! {
                ended = evicted.run_until_cancelled(connection.as_mut()) => Some(ended),
                () = begun.first() => None,
            };
            match ended {
                Some(ended) => ended,
                None => {
                    connection.as_mut().graceful_shutdown();
                    evicted.run_until_cancelled(connection).await
                }
            }
        }
    };
    // Broken connections and malformed requests are normal.
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%error, "Connection ended early"),
        None => tracing::debug!("Connection closed: idle, and another one needed its place"),
    }
}

/// A write into the socket's buffer succeeds even if the peer is gone. Without this limit, which only Linux has, the
/// server would notice after some 15 minutes.
fn give_up_on_the_dead(stream: &TcpStream, after: Duration) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(after)) {
        tracing::debug!(%error, "Cannot set TCP_USER_TIMEOUT");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, after);
}
