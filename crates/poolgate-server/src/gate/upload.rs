//! The body of a gated request. A permit does not wait for its sender.
//!
//! A small body whose length is known is read before a permit is asked for. Any other goes to the app piece by piece:
//! whenever the app waits for the next one, the permit goes back, and it is taken again when the piece is there. Either way
//! a sender may take its time, up to `server.body_timeout`, and takes nobody's place. Once the server stops, a sender that
//! sends nothing is not waited for: it would hold up the end of all.

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
    body::{length, longer},
    hold::Hold,
    limiter::{Admission, Waiter},
    reject::Reject,
};

/// The largest body that is read before a permit is asked for, in bytes.
const SMALL: u64 = 64 << 10;
/// Bodies that are read at the same time; together they take 256 MiB of memory at the most. Beyond, they go to the app
/// piece by piece.
const MOST: u32 = 4096;

/// For so long a server that stops waits for a body, or its next piece, that may be on its way.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

type Item = Option<Result<Frame<Bytes>, Error>>;

/// How the body of a request is handed over.
#[derive(Debug)]
pub(super) enum Upload {
    /// There is none, or it is here.
    Here,
    /// It is read first.
    First,
    /// Piece by piece.
    Pieces,
}

impl Upload {
    pub(super) fn of(request: &Request<Body>) -> Self {
        let body = request.body();
        if body.is_end_stream() {
            return Self::Here;
        }
        // Who asks whether to send it at all is told when it is let in.
        let is_small = body.size_hint().exact().is_some_and(|length| length <= SMALL);
        if is_small && !request.headers().contains_key(header::EXPECT) { Self::First } else { Self::Pieces }
    }
}

/// Counts the bodies that are being read.
#[derive(Debug, Default)]
pub(super) struct Readers(AtomicU32);

impl Readers {
    /// Reads a body with `patience`, unless too many are being read.
    pub(super) fn read(self: &Arc<Self>, body: Body, patience: Patience) -> Result<Reading, Body> {
        if self.0.fetch_add(1, Relaxed) >= MOST {
            self.0.fetch_sub(1, Relaxed);
            return Err(body);
        }
        let place = Place(Arc::clone(self));
        Ok(Reading { body, read: VecDeque::new(), patience, wait: None, _place: place })
    }
}

/// How long a sender is waited for.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    pub(super) longest: Duration,
    /// Cancelled when the server stops.
    pub(super) closing: CancellationToken,
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
    /// Until the server stops; `None` from then on.
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// The answer when it has ended in vain.
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
struct Place(Arc<Readers>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

/// A small body that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    body: Body,
    read: VecDeque<Result<Frame<Bytes>, Error>>,
    patience: Patience,
    /// From when something is missing.
    wait: Option<Wait>,
    _place: Place,
}

impl Reading {
    /// The body as the app gets it, once all of it is there. What failed in between, the app learns when it reads it.
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

/// A body that goes to the app piece by piece.
pub(super) struct Pieces {
    body: Body,
    hold: Arc<Hold>,
    patience: Patience,
    /// The wait for the next piece, while one is waited for.
    wait: Option<Wait>,
    /// A piece that is there, and the permit that it waits for.
    held_up: Option<(Item, Waiter, Pin<Box<Sleep>>)>,
}

/// Why the app gets an error instead of the next piece; the client gets an answer of the gate.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request was turned away while its body was being read")]
struct TurnedAway;

impl Pieces {
    pub(super) fn new(body: Body, hold: Arc<Hold>, patience: Patience) -> Self {
        Self { body, hold, patience, wait: None, held_up: None }
    }

    fn turn_away(&self, reject: Reject) -> Poll<Item> {
        self.hold.fail(reject);
        Poll::Ready(Some(Err(Error::new(TurnedAway))))
    }

    fn poll_permit(&mut self, context: &mut Context<'_>) -> Poll<Item> {
        let Some((_, waiter, timeout)) = &mut self.held_up else { return Poll::Ready(None) };
        let granted = match Pin::new(&mut waiter.permit).poll(context) {
            Poll::Ready(granted) => granted.ok(),
            Poll::Pending => {
                ready!(timeout.as_mut().poll(context));
                None
            }
        };
        let item = self.held_up.take().and_then(|(item, ..)| item);
        match granted {
            Some(permit) => {
                self.hold.admit(permit);
                Poll::Ready(item)
            }
            None => self.turn_away(Reject::Timeout),
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
            return this.turn_away(reject);
        };
        this.wait = None;
        match this.hold.resume() {
            None => Poll::Ready(item),
            Some(Admission::Granted { permit, .. }) => {
                this.hold.admit(permit);
                Poll::Ready(item)
            }
            Some(Admission::Queued(waiter)) => {
                let timeout = Box::pin(time::sleep(waiter.patience));
                this.held_up = Some((item, waiter, timeout));
                this.poll_permit(context)
            }
            Some(Admission::Rejected(reject)) => this.turn_away(reject),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held_up.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let Some((Some(Ok(piece)), ..)) = &self.held_up else { return self.body.size_hint() };
        longer(&self.body.size_hint(), length(piece.data_ref()))
    }
}

impl Drop for Pieces {
    /// An app that does not want the rest goes on all the same.
    fn drop(&mut self) {
        if let Some(Admission::Granted { permit, .. }) = self.hold.resume() {
            self.hold.admit(permit);
        }
    }
}
