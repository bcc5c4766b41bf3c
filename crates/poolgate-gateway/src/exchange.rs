//! One request to the app and its answer, in a task of its own: the app does not stop when a client leaves.

use std::{future::poll_fn, pin::Pin, pin::pin, sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use http::{Request, Response, StatusCode, response};
use http_body::{Body as _, Frame};
use hyper::{
    body::Incoming,
    upgrade::{self, OnUpgrade},
};
use poolgate_server::{
    gate::{Admitted, Rejected},
    settings::OnAbort,
};
use tokio::{sync::oneshot, time};

use crate::{
    buffer::{ReaderGone, Writer},
    connections::{Connection, announced_keep_alive},
    failure::Failure,
    forward,
    gateway::{Live, Parts},
    retries::Spare,
    streams::StreamPlace,
    tunnel::{ConnectionGuard, Tunnel},
    upload::{Progress, Upload},
};

/// How long a reader may hold up the app before the permit goes back.
const READERS_ALLOWANCE: Duration = Duration::from_millis(250);
/// A small answer goes to the client in one piece if its body follows its head this soon.
const HEAD_START: Duration = Duration::from_millis(1);
/// Bytes that are still taken from the app for a client that has left.
const MOST_LINGERING: u64 = 256 << 10;

/// A request that goes to the app.
pub(crate) struct Exchange {
    pub(crate) parts: Arc<Parts>,
    pub(crate) settings: Arc<Live>,
    /// Nothing where the gate was not asked.
    pub(crate) admitted: Option<Admitted>,
    /// The client's side, if it asks for a WebSocket.
    pub(crate) upgrade: Option<(OnUpgrade, Option<ConnectionGuard>)>,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// What comes of it.
#[derive(Debug)]
pub(crate) enum Answer {
    App(Response<Body>),
    Failed(Failure),
    Rejected(Rejected),
}

impl Exchange {
    /// Sends the request, and hands the answer on until the app's last byte has been read.
    pub(crate) async fn run(mut self, request: Request<Body>) {
        let progress = Progress::default();
        let most = self.settings.upstream.max_body_bytes;
        let request = if request.body().is_end_stream() {
            request
        } else {
            request.map(|body| Body::new(Upload::new(body, most, progress.clone())))
        };
        let parts = Arc::clone(&self.parts);
        let settings = Arc::clone(&self.settings);
        let sent = parts.send(request, &progress, settings.upstream.response_timeout);
        let answered = match settings.upstream.on_abort {
            OnAbort::Linger => {
                let mut sent = pin!(sent);
                tokio::select! {
                    answered = &mut sent => answered,
                    () = self.answer.closed() => {
                        let _lingers = parts.exchanges.lingering.begin();
                        sent.await
                    }
                }
            }
            OnAbort::Close => tokio::select! {
                answered = sent => answered,
                () = self.answer.closed() => return,
            },
        };
        match answered {
            Ok((response, connection)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                drop(connection);
                self.switch(response);
            }
            Ok((response, connection)) => self.hand_on(response, connection).await,
            Err(failure) => self.fail(progress.take_failure().unwrap_or(failure)),
        }
    }

    fn fail(self, failure: Failure) {
        let rejected = self.admitted.as_ref().and_then(Admitted::rejected);
        if let Some(admitted) = self.admitted.filter(|_| rejected.is_none() && failure.is_of_the_app()) {
            admitted.unanswered();
            self.parts.app.is_silent(&failure);
        }
        // A client that has left needs no answer.
        let _ = self.answer.send(rejected.map_or(Answer::Failed(failure), Answer::Rejected));
    }

    /// The app's head is there.
    fn answered(&self, status: StatusCode) {
        if let Some(admitted) = &self.admitted {
            admitted.answered(status);
        }
        self.parts.app.answered();
    }

    fn complete(&self) {
        if let Some(admitted) = &self.admitted {
            admitted.complete();
        }
    }

    fn switch(mut self, mut response: Response<Incoming>) {
        let upgrade = self.upgrade.take().filter(|_| forward::is_websocket(response.headers()));
        let Some((client, guard)) = upgrade else { return self.fail(Failure::UnaskedUpgrade) };
        let place = match self.parts.exchanges.streams.open() {
            Ok(place) => place,
            Err(failure) => return self.fail(failure),
        };
        self.answered(response.status());
        self.complete();
        let app = upgrade::on(&mut response);
        let (mut head, _) = response.into_parts();
        forward::to_client(head.status, &mut head.headers);
        let tunnel = Tunnel { client, app, idle_timeout: self.settings.upstream.idle_timeout, place, guard };
        if self.answer.send(Answer::App(Response::from_parts(head, Body::empty()))).is_ok() {
            self.parts.tunnels.spawn(tunnel.run(self.parts.cut_off.clone()));
        }
    }

    async fn hand_on(mut self, response: Response<Incoming>, connection: Connection) {
        let (mut head, body) = response.into_parts();
        let keep_alive = announced_keep_alive(&head.headers);
        let is_stream = forward::is_event_stream(&head.headers);
        let stream = match is_stream.then(|| self.parts.exchanges.streams.open()).transpose() {
            Ok(stream) => stream,
            Err(failure) => return self.fail(failure),
        };
        self.answered(head.status);
        forward::to_client(head.status, &mut head.headers);
        let connections = Arc::clone(&self.parts.connections);
        if body.is_end_stream() {
            self.complete();
            let _ = self.answer.send(Answer::App(Response::from_parts(head, Body::empty())));
        } else if !self.hand_on_body(head, body, stream).await {
            return;
        }
        connections.keep(connection, keep_alive).await;
    }

    /// Whether the answer was read to its end.
    async fn hand_on_body(&mut self, head: response::Parts, body: Incoming, stream: Option<StreamPlace>) -> bool {
        let settings = &self.settings.upstream;
        let lingers = stream.is_none() && settings.on_abort == OnAbort::Linger;
        let patience = if stream.is_some() { settings.idle_timeout } else { settings.response_timeout };
        let mut source = Source { body, patience };
        let first = if stream.is_some() {
            self.complete();
            None
        } else {
            time::timeout(HEAD_START, source.next()).await.ok().flatten()
        };
        let first = match first {
            Some(Ok(frame)) if frame.is_data() && source.body.is_end_stream() => {
                self.complete();
                let body = frame.into_data().map_or_else(|_| Body::empty(), Body::from);
                // A client that has left needs no answer.
                let _ = self.take_answer().send(Answer::App(Response::from_parts(head, body)));
                return true;
            }
            first => first,
        };
        let (writer, handed_on) = self.parts.exchanges.memory.body();
        let is_gone = self.take_answer().send(Answer::App(Response::from_parts(head, handed_on))).is_err();
        let is_whole = self.copy(source, first, &writer, is_gone, lingers).await;
        self.complete();
        is_whole
    }

    /// Where the answer goes, once.
    fn take_answer(&mut self) -> oneshot::Sender<Answer> {
        let (unheard, _) = oneshot::channel();
        std::mem::replace(&mut self.answer, unheard)
    }

    async fn copy(
        &self,
        mut source: Source,
        mut first: Option<Result<Frame<Bytes>, Failure>>,
        writer: &Writer,
        mut is_gone: bool,
        lingers: bool,
    ) -> bool {
        let mut lingering = 0;
        let mut place = None;
        loop {
            if is_gone {
                place.get_or_insert_with(|| self.parts.exchanges.lingering.begin());
            }
            if is_gone && !lingers || lingering > MOST_LINGERING {
                return false;
            }
            let piece = match first.take() {
                Some(first) => Some(first),
                None => tokio::select! {
                    biased;
                    piece = source.next() => piece,
                    () = writer.closed(), if !is_gone => {
                        is_gone = true;
                        continue;
                    }
                },
            };
            let frame = match piece {
                None => return true,
                Some(Ok(frame)) => frame,
                Some(Err(failure)) => {
                    writer.fail(failure);
                    return false;
                }
            };
            if is_gone {
                lingering += frame.data_ref().map_or(0, |data| data.len() as u64);
            } else {
                is_gone = self.write(writer, frame).await.is_err();
            }
        }
    }

    /// A slow reader takes no permit from others.
    async fn write(&self, writer: &Writer, frame: Frame<Bytes>) -> Result<(), ReaderGone> {
        let mut write = pin!(writer.write(frame));
        tokio::select! {
            biased;
            written = &mut write => return written,
            () = time::sleep(READERS_ALLOWANCE) => {}
        }
        if let Some(admitted) = &self.admitted {
            admitted.set_aside();
        }
        let written = write.await;
        if let Some(admitted) = &self.admitted {
            admitted.resume();
        }
        written
    }
}

/// The app's body, and how long its next piece may take.
struct Source {
    body: Incoming,
    patience: Duration,
}

impl Source {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Failure>> {
        let piece = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context));
        match time::timeout(self.patience, piece).await {
            Ok(piece) => piece.map(|piece| piece.map_err(|error| Failure::of(&error))),
            Err(_) => Some(Err(Failure::ResponseTimeout)),
        }
    }
}

impl Parts {
    /// The head of the app's answer. A connection that was used before may have been closed meanwhile; then a request that
    /// the app cannot have executed, or may execute twice, is sent again.
    async fn send(
        &self,
        mut request: Request<Body>,
        progress: &Progress,
        response_timeout: Duration,
    ) -> Result<(Response<Incoming>, Connection), Failure> {
        self.retries.earn();
        let mut reuse = true;
        loop {
            let kept = if reuse { self.connections.take_idle() } else { None };
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connections.open().await?,
            };
            let spare = if connection.is_reused { Spare::of(&request) } else { None };
            let answered = tokio::select! {
                answered = connection.sender.try_send_request(request) => answered,
                () = late(progress, response_timeout) => return Err(Failure::ResponseTimeout),
            };
            let mut error = match answered {
                Ok(response) => return Ok((response, connection)),
                Err(error) => error,
            };
            if !connection.is_reused {
                return Err(Failure::of(error.error()));
            }
            let is_parse = error.error().is_parse();
            request = match (error.take_message(), spare) {
                (Some(unsent), _) => unsent,
                (None, Some(spare)) if !is_parse && self.retries.spend() => {
                    reuse = false;
                    spare.into_request()
                }
                (None, _) => return Err(Failure::of(error.error())),
            };
        }
    }
}

/// Ends when the app has neither taken more of the request nor answered for too long.
async fn late(progress: &Progress, response_timeout: Duration) {
    loop {
        let before = progress.pieces();
        time::sleep(response_timeout).await;
        if progress.pieces() == before {
            return;
        }
    }
}
