//! A request's body on its way to the app: bounded in size, and not slower than a least rate.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Error,
    body::{Body, Bytes},
};
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::failure::Failure;

/// A body may be slower than this for so long; then it has to come at this rate, in bytes a second.
const GRACE: Duration = Duration::from_secs(10);
const LEAST_RATE: u64 = 1024;

/// What is known of a body while it is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Pieces that were sent.
    pieces: AtomicU64,
    failure: Mutex<Option<Failure>>,
}

impl Progress {
    /// Changes with each piece.
    pub(crate) fn pieces(&self) -> u64 {
        self.0.pieces.load(Relaxed)
    }

    /// Why the body was cut off, if it was.
    pub(crate) fn take_failure(&self) -> Option<Failure> {
        self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The body.
pub(crate) struct Upload {
    body: Body,
    progress: Progress,
    most: u64,
    sent: u64,
    /// How long the client was waited for, all together, before this wait.
    waited: Duration,
    wait: Option<(Instant, Pin<Box<Sleep>>)>,
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request's body was cut off")]
struct CutOff;

impl Upload {
    pub(crate) fn new(body: Body, most: Option<u64>, progress: Progress) -> Self {
        Self { body, progress, most: most.unwrap_or(u64::MAX), sent: 0, waited: Duration::ZERO, wait: None }
    }

    fn cut_off(&self, failure: Failure) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        *self.progress.0.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        Poll::Ready(Some(Err(Error::new(CutOff))))
    }

    /// For how long the client may be waited for, all together.
    fn patience(&self) -> Duration {
        GRACE + Duration::from_millis(self.sent.saturating_mul(1000) / LEAST_RATE)
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let Poll::Ready(item) = Pin::new(&mut this.body).poll_frame(context) else {
            let left = this.patience().saturating_sub(this.waited);
            let (_, late) = this.wait.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
            if late.as_mut().poll(context).is_ready() {
                return this.cut_off(Failure::SlowUpload);
            }
            return Poll::Pending;
        };
        if let Some((since, _)) = this.wait.take() {
            this.waited += since.elapsed();
        }
        this.progress.0.pieces.fetch_add(1, Relaxed);
        if let Some(Ok(frame)) = &item {
            this.sent = this.sent.saturating_add(frame.data_ref().map_or(0, |data| data.len() as u64));
            if this.sent > this.most {
                return this.cut_off(Failure::LargeUpload);
            }
        }
        Poll::Ready(item)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
