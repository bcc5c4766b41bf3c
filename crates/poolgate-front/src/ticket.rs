//! The right to send one request, and the place in the queue that becomes one.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use poolgate_throttle::{Outcome, Permit, Rejection, RequestId};

use crate::{Front, Head, front::learn};

/// The right to send one request. Dropping it completes it as [aborted](Outcome::Aborted).
#[derive(Debug)]
#[must_use = "a ticket that is dropped is given back unused"]
pub struct Ticket {
    front: Front,
    permit: Option<Permit>,
}

/// A place in a client's queue. It becomes a ticket or a rejection; dropping it leaves the queue.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Waiting {
    front: Front,
    /// `None` once it has become something.
    id: Option<RequestId>,
}

impl Ticket {
    pub(crate) fn new(front: Front, permit: Permit) -> Self {
        Self { front, permit: Some(permit) }
    }

    /// The server answered. The client learns what `head` says about the config. `is_rejected`: the gate rejected the
    /// request, as [`Head::is_rejection`] tells. A client that has not read the body yet passes `false`, and calls
    /// [`Front::heed`] later if the body shows a rejection.
    pub fn finish(mut self, head: &Head, is_rejected: bool) {
        let Some(permit) = self.permit.take() else { return };
        self.front.act(|state, now| {
            // Before the outcome: of several servers, the one that was heard last rejected the request.
            if let Some(news) = head.news() {
                // A header that is out of range is ignored.
                let _ = learn(state, &news, now);
            }
            state.throttle.complete(permit, head.outcome(is_rejected), now);
        });
    }

    /// The request ended in another way than by an answer.
    pub fn complete(mut self, outcome: Outcome) {
        self.give_back(outcome);
    }

    fn give_back(&mut self, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            self.front.act(|state, now| state.throttle.complete(permit, outcome, now));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.give_back(Outcome::Aborted);
    }
}

impl Waiting {
    pub(crate) fn new(front: Front, id: RequestId) -> Self {
        Self { front, id: Some(id) }
    }
}

impl Future for Waiting {
    type Output = Result<Ticket, Rejection>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(id) = self.id else { return Poll::Pending };
        let decision = ready!(self.front.lock().poll_place(id, context));
        self.id = None;
        Poll::Ready(decision.map(|permit| Ticket::new(self.front.clone(), permit)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.front.act(|state, now| state.leave(id, now));
        }
    }
}
