//! Tells tasks that the client's state has changed.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use futures_core::Stream;

use crate::{Client, State};

/// Counts changes and wakes those who wait for one.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    changes: u64,
    is_over: bool,
    /// One per task; woken and forgotten with each change.
    wakers: Vec<Waker>,
}

impl Watch {
    /// The state has changed.
    pub(crate) fn tell(&self) {
        let wakers = {
            let mut watched = self.lock();
            watched.changes += 1;
            std::mem::take(&mut watched.wakers)
        };
        // A waker may run a task on the spot, which needs the lock.
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The state has changed for the last time.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
        self.tell();
    }

    /// Has the task polled again after the next change.
    pub(crate) fn wake_later(&self, context: &Context<'_>) {
        let mut watched = self.lock();
        if !watched.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            watched.wakers.push(context.waker().clone());
        }
    }

    /// The number of changes once it is another one than `seen`; `None`: there will be none.
    pub(crate) fn poll_changes(&self, seen: u64, context: &Context<'_>) -> Poll<Option<u64>> {
        self.wake_later(context);
        let watched = self.lock();
        if watched.changes != seen {
            Poll::Ready(Some(watched.changes))
        } else if watched.is_over {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }

    /// How many there were.
    pub(crate) fn changes(&self) -> u64 {
        self.lock().changes
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The states of a client: first the present one, then one after each change. Changes that happen between two polls count
/// as one. It ends after the client was closed.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Changes {
    client: Client,
    watch: Arc<Watch>,
    seen: Option<u64>,
}

impl Changes {
    pub(crate) fn new(client: Client, watch: Arc<Watch>) -> Self {
        Self { client, watch, seen: None }
    }
}

impl Stream for Changes {
    type Item = State;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<State>> {
        let seen = match self.seen {
            None => Some(self.watch.changes()),
            Some(seen) => ready!(self.watch.poll_changes(seen, context)),
        };
        Poll::Ready(seen.map(|changes| {
            self.seen = Some(changes);
            self.client.state()
        }))
    }
}
