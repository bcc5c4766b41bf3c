//! Between the app and a slow client: so much of each answer is taken from the app ahead of its reader, and so much of all
//! together.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    BoxError,
    body::{Body, Bytes},
};
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Bytes of one answer.
const EACH: u32 = 256 << 10;
/// Bytes of all answers.
const ALL: usize = 64 << 20;

/// The memory that all answers share.
#[derive(Clone, Debug)]
pub(crate) struct Memory(Arc<Semaphore>);

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ALL)))
    }
}

/// The app's end of an answer's body.
#[derive(Debug)]
pub(crate) struct Writer {
    memory: Memory,
    room: Arc<Semaphore>,
    pieces: mpsc::UnboundedSender<Piece>,
}

#[derive(Debug)]
struct Piece {
    frame: Result<Frame<Bytes>, BoxError>,
    _room: Option<OwnedSemaphorePermit>,
    _memory: Option<OwnedSemaphorePermit>,
}

/// The client has left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReaderGone;

impl Memory {
    /// Bytes that wait for their readers.
    pub(crate) fn in_use(&self) -> usize {
        ALL.saturating_sub(self.0.available_permits())
    }

    /// The two ends of a body.
    pub(crate) fn body(&self) -> (Writer, Body) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let writer = Writer { memory: self.clone(), room: Arc::new(Semaphore::new(EACH as usize)), pieces: sender };
        (writer, Body::new(Buffered(receiver)))
    }
}

impl Writer {
    /// Hands on a piece as soon as there is room for it.
    pub(crate) async fn write(&self, frame: Frame<Bytes>) -> Result<(), ReaderGone> {
        let size = frame.data_ref().map_or(0, |data| u32::try_from(data.len()).unwrap_or(u32::MAX)).min(EACH);
        let room = tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(size) => room.ok(),
            () = self.pieces.closed() => return Err(ReaderGone),
        };
        let memory = Arc::clone(&self.memory.0).try_acquire_many_owned(size).ok();
        if memory.is_none() {
            // A reader's only piece needs no room with the others.
            self.empty(EACH - size).await?;
        }
        self.send(Piece { frame: Ok(frame), _room: room, _memory: memory })
    }

    /// Waits until the reader has taken everything.
    async fn empty(&self, rest: u32) -> Result<(), ReaderGone> {
        tokio::select! {
            _ = self.room.acquire_many(rest) => Ok(()),
            () = self.pieces.closed() => Err(ReaderGone),
        }
    }

    /// Ends the body before its time: the client must not take it for complete.
    pub(crate) fn fail(&self, error: impl Into<BoxError>) {
        // The receiver is gone.
        let _ = self.send(Piece { frame: Err(error.into()), _room: None, _memory: None });
    }

    /// Ends when the client has left.
    pub(crate) async fn closed(&self) {
        self.pieces.closed().await;
    }

    fn send(&self, piece: Piece) -> Result<(), ReaderGone> {
        self.pieces.send(piece).map_err(|_| ReaderGone)
    }
}

/// The client's end.
struct Buffered(mpsc::UnboundedReceiver<Piece>);

impl http_body::Body for Buffered {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let piece = ready!(self.get_mut().0.poll_recv(context));
        Poll::Ready(piece.map(|piece| piece.frame))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_closed() && self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
