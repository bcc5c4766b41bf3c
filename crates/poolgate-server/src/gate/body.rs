//! The body of a gated response: it holds the permit until it has ended or is dropped.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::permit::Permit;

pin_project! {
    /// A response body that gives its request's permit back when it has ended or is dropped.
    #[derive(Debug)]
    pub struct GateBody<B> {
        #[pin]
        content: Content<B>,
        permit: Option<Permit>,
    }
}

pin_project! {
    #[project = ContentProjection]
    #[derive(Debug)]
    enum Content<B> {
        Inner { #[pin] body: B },
        Full { bytes: Option<Bytes> },
    }
}

impl<B> GateBody<B> {
    /// The app's body; `permit` is absent where it was given back at the head.
    pub(super) fn new(body: B, permit: Option<Permit>) -> Self {
        Self { content: Content::Inner { body }, permit }
    }

    /// A constant body.
    pub(super) fn full(bytes: Bytes) -> Self {
        Self { content: Content::Full { bytes: Some(bytes) }, permit: None }
    }
}

impl<B: Body<Data = Bytes>> Body for GateBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        let frame = match this.content.project() {
            ContentProjection::Full { bytes } => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            ContentProjection::Inner { body } => std::task::ready!(body.poll_frame(context)),
        };
        // An error ends a body as well.
        if !matches!(frame, Some(Ok(_))) {
            *this.permit = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Inner { body } => body.is_end_stream(),
            Content::Full { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Inner { body } => body.size_hint(),
            Content::Full { bytes } => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}
