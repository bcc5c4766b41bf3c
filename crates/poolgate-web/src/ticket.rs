//! The right to send one request by other means than [`fetch`](crate::Client::fetch).

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use poolgate_front::{Asked, Head, Waiting};
use poolgate_throttle::Outcome;

use crate::{Ask, Error, core::Core};

/// Becomes a [`Ticket`] when a request may be sent. Dropping it leaves the queue.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Admission(Stage);

#[derive(Debug)]
enum Stage {
    Waiting(Arc<Core>, Waiting),
    Decided(Result<Ticket, Error>),
    Over,
}

impl Admission {
    pub(crate) fn new(core: &Arc<Core>, ask: Ask) -> Self {
        Self(match core.front.ask(ask.request()) {
            Asked::Start(permit) => Stage::Decided(Ok(Ticket::new(Arc::clone(core), permit))),
            Asked::Queued(waiting) => Stage::Waiting(Arc::clone(core), waiting),
            Asked::Rejected(rejection) => Stage::Decided(Err(rejection.into())),
        })
    }

    pub(crate) fn refused(error: Error) -> Self {
        Self(Stage::Decided(Err(error)))
    }
}

impl Future for Admission {
    type Output = Result<Ticket, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Stage::Waiting(core, waiting) = &mut self.0 {
            let core = Arc::clone(core);
            let permit = ready!(Pin::new(waiting).poll(context)).map_err(Error::from);
            self.0 = Stage::Decided(permit.map(|permit| Ticket::new(core, permit)));
        }
        match std::mem::replace(&mut self.0, Stage::Over) {
            Stage::Decided(decision) => {
                if let Ok(ticket) = &decision {
                    ticket.core.save_if_due();
                }
                Poll::Ready(decision)
            }
            Stage::Waiting(..) | Stage::Over => Poll::Pending,
        }
    }
}

/// The right to send one request. Dropping it completes it as [aborted](Outcome::Aborted).
#[derive(Debug)]
#[must_use = "a ticket that is dropped is given back unused"]
pub struct Ticket {
    core: Arc<Core>,
    permit: poolgate_front::Ticket,
}

impl Ticket {
    pub(crate) fn new(core: Arc<Core>, permit: poolgate_front::Ticket) -> Self {
        Self { core, permit }
    }

    /// The server answered. The client learns from the head what the server says about the config, and from the `body`
    /// whether the gate rejected the request; a caller that has not read the body passes an empty one. `header` looks a
    /// header up by its name, which is in lower case.
    pub fn finish<T: AsRef<str>>(self, status: u16, header: impl Fn(&str) -> Option<T>, body: &[u8]) {
        let head = Head::read(status, header, &crate::host::Today);
        self.permit.finish(&head, head.is_rejection(body));
        self.core.save_if_due();
    }

    /// The request ended in another way than by an answer: [`Outcome::Failure`] if the server was not reached.
    pub fn complete(self, outcome: Outcome) {
        self.permit.complete(outcome);
        self.core.save_if_due();
    }
}
