//! The record of one request, written when its answer has been sent or its client has left.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use http_body::{Body as _, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{Records, facts::Facts, line};
use crate::traces::RequestSpan;

/// A request under way. Its record is written when this is dropped, so also when its client leaves.
pub(super) struct Entry {
    pub(super) records: Records,
    pub(super) facts: Facts,
    pub(super) span: Option<RequestSpan>,
}

impl Entry {
    /// The head of the answer is there.
    pub(super) fn answered(&mut self, response: &mut Response) {
        self.facts.id.stamp_answer(response.headers_mut());
        self.facts.answered(response, response.body().is_end_stream());
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(log) = &self.records.0.log
            && let Some(line) = line::of(&self.facts, log.format)
        {
            log.writer.write(line);
        }
        if let Some(span) = self.span.take() {
            span.end(&self.facts);
        }
    }
}

pin_project! {
    /// The body of an answer, which counts its bytes.
    pub(super) struct Counted {
        #[pin]
        body: Body,
        entry: Entry,
    }
}

impl Counted {
    pub(super) fn new(body: Body, entry: Entry) -> Self {
        Self { body, entry }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut this = self.project();
        let polled = this.body.as_mut().poll_frame(context);
        let facts = &mut this.entry.facts;
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                facts.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                // The transport does not ask again.
                facts.is_complete = this.body.is_end_stream();
            }
            Poll::Ready(None) => facts.is_complete = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
