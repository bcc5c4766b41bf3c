//! The body of a gated request. No permit waits for its sender.
//!
//! A small body of known length is read before the request asks for a permit. Any other body goes to the app in pieces:
//! while the app waits for the next piece, the permit goes back, and it is taken again with the piece. So a slow sender
//! takes no place from others; it has `server.body_timeout`. After the server has begun to shut down, it waits only
//! briefly for a sender, which would delay the shutdown.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Error,
    body::{Body, Bytes},
};
use http::{Request, header};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{self, Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    hold::Hold,
    limiter::{Admission, Queued},
    reject::Reject,
    response_body::{length, longer},
};

/// The largest body that is read before its request asks for a permit, in bytes.
const SMALL: u64 = 64 << 10;
/// Bodies that are read at the same time, in 256 MiB of memory at most. More go to the app in pieces.
const MOST: u32 = 4096;

/// After the shutdown has begun, the server waits this long for a body or its next piece, which may be on its way.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

type Item = Option<Result<Frame<Bytes>, Error>>;

/// How the body of a request is passed to the app.
#[derive(Debug)]
pub(super) enum Upload {
    /// It is empty or complete.
    Complete,
    /// It is read before the request asks for a permit.
    First,
    /// In pieces.
    Pieces,
}

impl Upload {
    pub(super) fn of(request: &Request<Body>) -> Self {
        let body = request.body();
        if body.is_end_stream() {
            return Self::Complete;
        }
        // A sender that asks whether to send the body is told after the request was admitted.
        let is_small = body.size_hint().exact().is_some_and(|length| length <= SMALL);
        if is_small && !request.headers().contains_key(header::EXPECT) { Self::First } else { Self::Pieces }
    }
}

/// Reads request bodies, a bounded number at a time.
#[derive(Debug)]
pub(super) struct Uploads {
    patience: Patience,
    reading: Arc<AtomicU32>,
}

impl Uploads {
    /// `longest` is the time for a small body or for one piece; `closing` is cancelled when the shutdown begins.
    pub(super) fn new(longest: Duration, closing: CancellationToken) -> Self {
        Self { patience: Patience { longest, closing }, reading: Arc::default() }
    }

    /// Reads a body as a whole, unless too many are being read.
    pub(super) fn read(&self, body: Body) -> Result<Reading, Body> {
        if self.reading.fetch_add(1, Relaxed) >= MOST {
            self.reading.fetch_sub(1, Relaxed);
            return Err(body);
        }
        let place = Place(Arc::clone(&self.reading));
        Ok(Reading { body, read: VecDeque::new(), patience: self.patience.clone(), wait: None, _place: place })
    }

    /// Passes a body on in pieces.
    pub(super) fn in_pieces(&self, body: Body, hold: Arc<Hold>) -> Body {
        let patience = self.patience.clone();
        Body::new(Pieces { body, hold, patience, wait: None, held_up: None })
    }
}

/// How long to wait for a sender.
#[derive(Clone, Debug)]
struct Patience {
    longest: Duration,
    closing: CancellationToken,
}

impl Patience {
    fn wait(&self) -> Wait {
        Wait {
            timeout: Box::pin(time::sleep(self.longest)),
            closing: Some(Box::pin(self.closing.clone().cancelled_owned())),
            reject: Reject::BodyTimeout,
        }
    }
}

/// A wait for a sender.
struct Wait {
    timeout: Pin<Box<Sleep>>,
    /// Until the shutdown begins; `None` from then on.
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// The answer if the wait ends in vain.
    reject: Reject,
}

impl Wait {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Reject> {
        if self.closing.as_mut().is_some_and(|closing| closing.as_mut().poll(context).is_ready()) {
            self.closing = None;
            let last = Instant::now() + LAST_PATIENCE;
            if last < self.timeout.deadline() {
                self.timeout.as_mut().reset(last);
                self.reject = Reject::ShuttingDown;
            }
        }
        self.timeout.as_mut().poll(context).map(|()| self.reject)
    }
}

impl std::fmt::Debug for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wait").field("until", &self.timeout.deadline()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A small body that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    body: Body,
    read: VecDeque<Result<Frame<Bytes>, Error>>,
    patience: Patience,
    /// The wait for the rest, while something is missing.
    wait: Option<Wait>,
    _place: Place,
}

impl Reading {
    /// The body as the app gets it, once it is complete. If it failed in between, the app gets the error when it reads
    /// it.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Body, Reject>> {
        loop {
            let item = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(item) => item,
                Poll::Pending => {
                    let wait = self.wait.get_or_insert_with(|| self.patience.wait());
                    return wait.poll(context).map(Err);
                }
            };
            let is_last = item.as_ref().is_none_or(Result::is_err) || self.body.is_end_stream();
            self.read.extend(item);
            if is_last {
                return Poll::Ready(Ok(Body::new(Read(std::mem::take(&mut self.read)))));
            }
        }
    }
}

/// A body that was read.
struct Read(VecDeque<Result<Frame<Bytes>, Error>>);

impl http_body::Body for Read {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Item> {
        Poll::Ready(self.get_mut().0.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().flatten().map(|frame| length(frame.data_ref())).sum())
    }
}

/// A body that goes to the app in pieces.
struct Pieces {
    body: Body,
    hold: Arc<Hold>,
    patience: Patience,
    /// The wait for the next piece, while it is missing.
    wait: Option<Wait>,
    /// A piece that has arrived, and the queued request for the permit that it needs.
    held_up: Option<(Item, Queued)>,
}

/// The error that the app gets instead of the next piece. The client gets the gate's answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request was turned away while its body was being read")]
struct Rejected;

impl Pieces {
    fn reject(&self, reject: Reject) -> Poll<Item> {
        self.hold.fail(reject);
        Poll::Ready(Some(Err(Error::new(Rejected))))
    }

    fn poll_permit(&mut self, context: &mut Context<'_>) -> Poll<Item> {
        let Some((_, queued)) = &mut self.held_up else { return Poll::Ready(None) };
        let granted = ready!(Pin::new(queued).poll(context));
        let item = self.held_up.take().and_then(|(item, _)| item);
        match granted {
            Some(permit) => {
                self.hold.admit(permit);
                Poll::Ready(item)
            }
            None => self.reject(Reject::Timeout),
        }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Item> {
        let this = self.get_mut();
        if this.held_up.is_some() {
            return this.poll_permit(context);
        }
        let Poll::Ready(item) = Pin::new(&mut this.body).poll_frame(context) else {
            this.hold.set_aside();
            let wait = this.wait.get_or_insert_with(|| this.patience.wait());
            let reject = ready!(wait.poll(context));
            return this.reject(reject);
        };
        this.wait = None;
        match this.hold.resume() {
            None => Poll::Ready(item),
            Some(Admission::Granted(permit)) => {
                this.hold.admit(permit);
                Poll::Ready(item)
            }
            Some(Admission::Queued(queued)) => {
                this.held_up = Some((item, queued));
                this.poll_permit(context)
            }
            Some(Admission::Rejected(reason)) => this.reject(reason.into()),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held_up.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let Some((Some(Ok(piece)), _)) = &self.held_up else { return self.body.size_hint() };
        longer(&self.body.size_hint(), length(piece.data_ref()))
    }
}

impl Drop for Pieces {
    /// An app that does not read the rest of the body goes on all the same, so it needs a permit again.
    fn drop(&mut self) {
        if let Some(Admission::Granted(permit)) = self.hold.resume() {
            self.hold.admit(permit);
        }
    }
}
