//! Time limits for the client's turns on a connection.
//!
//! hyper has one limit for the time until a head is complete, which also runs while a kept-alive connection idles. Here
//! they are two. A head that has begun must be complete soon, or slow senders could hold connections. Between two
//! requests a connection may idle for longer than load balancers keep theirs, or they would sometimes send a request
//! into a closing connection.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long a stopping server waits for the rest of a head.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// How often a stopping server looks whether a new connection has brought its first request.
const FIRST_REQUEST_LOOK: Duration = Duration::from_millis(5);

/// Time limits for the client's turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TurnLimits {
    /// For a head: the first one from accepting the connection, the others from their first byte.
    pub(crate) head: Duration,
    /// From the end of a response to the first byte of the next head.
    pub(crate) idle: Duration,
}

/// Number of completed turns, shared by the connection's stream and its responses. The client has the even ones,
/// beginning with the first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn(Arc<AtomicU32>);

impl Turn {
    /// Begins the server's turn; it ends when the returned value is dropped.
    pub(crate) fn take(&self) -> Arc<ServersTurn> {
        self.0.fetch_add(1, Relaxed);
        Arc::new(ServersTurn(self.clone()))
    }

    /// Resolves soon after the first request has come.
    pub(crate) async fn first(&self) {
        while self.number() == 0 {
            sleep(FIRST_REQUEST_LOOK).await;
        }
    }

    fn number(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

/// The server's turn: from a complete head to the end of the response.
#[derive(Debug)]
pub(crate) struct ServersTurn(Turn);

impl Drop for ServersTurn {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Relaxed);
    }
}

pin_project! {
    /// A response body; the server's turn ends with it.
    pub(crate) struct LastWord<B> {
        #[pin]
        body: B,
        turn: Arc<ServersTurn>,
    }
}

impl<B> LastWord<B> {
    pub(crate) fn new(body: B, turn: Arc<ServersTurn>) -> Self {
        Self { body, turn }
    }
}

impl<B: Body> Body for LastWord<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose reads fail if the client exceeds its time.
#[derive(Debug)]
pub(crate) struct TurnStream<S> {
    stream: S,
    turn: Turn,
    limits: TurnLimits,
    /// The client's turn that `awaited` and `deadline` belong to.
    seen: u32,
    awaited: Awaited,
    deadline: Pin<Box<Sleep>>,
    /// Resolves when the server stops; `None` afterwards.
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

/// What the client has to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// The rest of a head.
    Head,
    /// The first byte of the next head.
    Anything,
}

impl<S> TurnStream<S> {
    pub(crate) fn new(stream: S, turn: Turn, limits: TurnLimits, stop: CancellationToken) -> Self {
        let deadline = Box::pin(sleep(limits.head));
        let stop = Some(Box::pin(stop.cancelled_owned()));
        Self { stream, turn, limits, seen: 0, awaited: Awaited::Head, deadline, stop }
    }

    /// Whether it is the client's turn; if it has just begun, starts its timer.
    fn is_clients_turn(&mut self) -> bool {
        let turn = self.turn.number();
        let is_clients = turn.is_multiple_of(2);
        if is_clients && turn != self.seen {
            self.seen = turn;
            self.await_from_client(Awaited::Anything, self.limits.idle);
        }
        is_clients
    }

    fn await_from_client(&mut self, awaited: Awaited, limit: Duration) {
        self.awaited = awaited;
        let limit = if self.stop.is_some() { limit } else { limit.min(LAST_PATIENCE) };
        self.deadline.as_mut().reset(Instant::now() + limit);
    }

    /// A stopping server gives its clients little time.
    fn heed_the_stop(&mut self, context: &mut Context<'_>) {
        if self.stop.as_mut().is_some_and(|stop| stop.as_mut().poll(context).is_ready()) {
            self.stop = None;
            let left = self.deadline.deadline().saturating_duration_since(Instant::now());
            self.await_from_client(self.awaited, left);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TurnStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.is_clients_turn() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        this.heed_the_stop(context);
        if this.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let filled = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if this.awaited == Awaited::Anything && buffer.filled().len() > filled {
            this.await_from_client(Awaited::Head, this.limits.head);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TurnStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.answered(context);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices))?;
        self.answered(context);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.keep_time(context);
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S> TurnStream<S> {
    /// The end of a response may still be in a buffer when its body has ended: the client is not idle while it reads
    /// that.
    fn answered(&mut self, context: &mut Context<'_>) {
        if self.is_clients_turn() && self.awaited == Awaited::Anything {
            self.await_from_client(Awaited::Anything, self.limits.idle);
            self.keep_time(context);
        }
    }

    /// Wakes the connection when the client's time is over, because hyper may not read before.
    fn keep_time(&mut self, context: &mut Context<'_>) {
        if self.is_clients_turn() {
            // The read reports the state of the connection.
            let _ = self.deadline.as_mut().poll(context);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::{server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const LIMITS: TurnLimits = TurnLimits { head: Duration::from_secs(10), idle: Duration::from_secs(90) };
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// The client's end of a connection whose server works for `work` before each response.
    fn connect(work: Duration) -> DuplexStream {
        connect_until(work, CancellationToken::new())
    }

    fn connect_until(work: Duration, stop: CancellationToken) -> DuplexStream {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let turn = Turn::default();
        let stream = TurnStream::new(server, turn.clone(), LIMITS, stop);
        let service = service_fn(move |_| {
            let turn = turn.take();
            async move {
                if !work.is_zero() {
                    sleep(work).await;
                }
                Ok::<_, Infallible>(http::Response::new(LastWord::new("done".to_owned(), turn)))
            }
        });
        tokio::spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        client
    }

    /// Whether the request gets a response.
    async fn ask(client: &mut DuplexStream, request: &[u8]) -> bool {
        client.write_all(request).await.is_ok() && answer(client).await
    }

    async fn answer(client: &mut DuplexStream) -> bool {
        let mut answer = Vec::new();
        while !answer.ends_with(b"done") {
            if client.read_buf(&mut answer).await.unwrap_or(0) == 0 {
                return false;
            }
        }
        true
    }

    async fn seconds_until_closed(client: &mut DuplexStream) -> u64 {
        let begun = Instant::now();
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_kept_connection_may_idle_longer_than_the_time_limit_of_a_head() {
        let mut client = connect(Duration::ZERO);
        for _ in 0..3 {
            assert!(ask(&mut client, REQUEST).await);
            sleep(Duration::from_secs(85)).await;
        }
        assert_eq!(seconds_until_closed(&mut client).await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_head_is_cut_off() {
        for answered in 0..3 {
            let mut client = connect(Duration::ZERO);
            for _ in 0..answered {
                assert!(ask(&mut client, REQUEST).await);
                sleep(Duration::from_secs(50)).await;
            }
            let begun = Instant::now();
            for byte in REQUEST.iter().cycle() {
                if client.write_all(&[*byte]).await.is_err() {
                    break;
                }
                sleep(Duration::from_secs(1)).await;
            }
            let lasted = begun.elapsed().as_secs();
            assert!((10..=12).contains(&lasted), "after {answered} requests: {lasted} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_has_the_time_limit_of_a_head() {
        assert_eq!(seconds_until_closed(&mut connect(Duration::ZERO)).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stops_does_not_wait_for_the_rest_of_a_head() {
        let stop = CancellationToken::new();
        let mut half = connect_until(Duration::ZERO, stop.clone());
        let mut served = connect_until(Duration::from_secs(5), stop.clone());
        let (begun, rest) = REQUEST.split_at(9);
        half.write_all(begun).await.expect("sent");
        served.write_all(begun).await.expect("sent");
        sleep(Duration::from_secs(2)).await;
        stop.cancel();
        assert!(ask(&mut served, rest).await, "it came in time");
        assert_eq!(seconds_until_closed(&mut half).await, 0, "closed meanwhile");
        let late = Instant::now();
        assert_eq!(seconds_until_closed(&mut connect_until(Duration::ZERO, stop)).await, 1);
        assert!(late.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_has_no_time_limit_here() {
        let mut client = connect(Duration::from_secs(500));
        assert!(ask(&mut client, REQUEST).await);
        assert!(ask(&mut client, REQUEST).await);
        // The next head has begun before the response, and ends a moment later.
        let mut client = connect(Duration::from_secs(500));
        let (half, rest) = REQUEST.split_at(9);
        assert!(ask(&mut client, &[REQUEST, half].concat()).await);
        assert!(ask(&mut client, rest).await);
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_head_after_a_request_is_cut_off() {
        let mut client = connect(Duration::ZERO);
        assert!(ask(&mut client, &[REQUEST, b"GET"].concat()).await);
        assert!(seconds_until_closed(&mut client).await <= 90);
    }
}
