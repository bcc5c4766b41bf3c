//! The body of a gated response. It notices when the database has nothing more to do for the request.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::hold::{Hold, Need, SlowReaders};

/// A response body that gives its request's permit back with the last byte that the app has produced, not with the last
/// one that the reader has taken.
pub struct GateBody<B: Body> {
    content: Content<B>,
    flight: Option<Flight>,
}

enum Content<B: Body> {
    Inner {
        body: Pin<Box<B>>,
        /// Read before the transport asked for it.
        first: Option<Item<B>>,
    },
    Full {
        bytes: Option<Bytes>,
    },
}

type Item<B> = Option<Result<Frame<Bytes>, <B as Body>::Error>>;

/// The request whose body is still under way.
struct Flight {
    hold: Arc<Hold>,
    slow_readers: Arc<SlowReaders>,
}

impl<B: Body<Data = Bytes>> GateBody<B> {
    /// A constant body.
    pub(super) fn full(bytes: Bytes) -> Self {
        Self { content: Content::Full { bytes: Some(bytes) }, flight: None }
    }

    /// The app's body, which needs no permit.
    pub(super) fn free(body: B) -> Self {
        Self { content: Content::Inner { body: Box::pin(body), first: None }, flight: None }
    }

    /// The app's body. If it is complete, it is read at once, and the permit goes back before the reader has taken
    /// anything.
    pub(super) fn begun(body: B, hold: Arc<Hold>, slow_readers: Arc<SlowReaders>, context: &mut Context<'_>) -> Self {
        let mut begun = Self::free(body);
        begun.flight = Some(Flight { hold, slow_readers });
        if let Poll::Ready(item) = begun.poll_item(context)
            && let Content::Inner { first, .. } = &mut begun.content
        {
            *first = Some(item);
        }
        if let Some(Flight { hold, slow_readers }) = begun.flight.as_ref().filter(|flight| flight.hold.has_permit()) {
            slow_readers.watch(hold);
        }
        begun
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Item<B>> {
        let body = match &mut self.content {
            Content::Full { bytes } => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Inner { body, .. } => body,
        };
        let Some(flight) = &self.flight else { return body.as_mut().poll_frame(context) };
        // Connections that the body takes are taken for the request.
        let polled = flight.hold.purpose().sync_scope(|| body.as_mut().poll_frame(context));
        // An error ends a body as well.
        let is_over = matches!(polled, Poll::Ready(None | Some(Err(_)))) || polled.is_ready() && body.is_end_stream();
        if is_over {
            flight.hold.complete();
            self.flight = None;
        } else {
            flight.account();
        }
        polled
    }
}

impl Flight {
    /// Holds a permit while a connection is in use, and none when all are returned.
    fn account(&self) {
        match self.hold.need() {
            Need::Connection if !self.hold.has_permit() => {
                self.hold.overdraw();
                self.slow_readers.watch(&self.hold);
            }
            Need::NoMore => self.hold.complete(),
            Need::Connection | Need::Unknown => {}
        }
    }
}

impl<B: Body<Data = Bytes>> Body for GateBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Item<B>> {
        let this = self.get_mut();
        if let Content::Inner { first, .. } = &mut this.content
            && let Some(first) = first.take()
        {
            return Poll::Ready(first);
        }
        this.poll_item(context)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Inner { first: Some(first), .. } => first.is_none(),
            Content::Inner { body, first: None } => body.is_end_stream(),
            Content::Full { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let (body, first) = match &self.content {
            Content::Inner { body, first } => (body, first),
            Content::Full { bytes } => return SizeHint::with_exact(length(bytes.as_ref())),
        };
        let Some(Some(Ok(first))) = first else { return body.size_hint() };
        longer(&body.size_hint(), length(first.data_ref()))
    }
}

/// The hint for a body with this many bytes before it.
pub(super) fn longer(hint: &SizeHint, by: u64) -> SizeHint {
    let mut longer = SizeHint::new();
    longer.set_lower(hint.lower().saturating_add(by));
    if let Some(upper) = hint.upper() {
        longer.set_upper(upper.saturating_add(by));
    }
    longer
}

pub(super) fn length(bytes: Option<&Bytes>) -> u64 {
    bytes.map_or(0, |bytes| bytes.len() as u64)
}

// The inner body is polled only through its own pin.
impl<B: Body> Unpin for GateBody<B> {}

impl<B: Body> fmt::Debug for GateBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateBody").field("in_flight", &self.flight.is_some()).finish_non_exhaustive()
    }
}
