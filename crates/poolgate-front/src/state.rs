//! What a front keeps under its lock: the throttle and the places in its queue.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
    time::Duration,
};

use poolgate_throttle::{Event, Outcome, Permit, Rejection, RequestId, Throttle};

/// The throttle and those who wait for it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) throttle: Throttle,
    /// In the order of their ids, which only grow.
    places: VecDeque<(RequestId, Place)>,
    /// Places about which the throttle has not decided.
    waiting: usize,
    /// The throttle wants the config to be fetched.
    pub(crate) config_is_due: bool,
    /// A header has brought newer limits than the last document.
    pub(crate) document_is_due: bool,
    /// How often level, breaker or staleness have changed.
    pub(crate) changes: u64,
    driver: Driver,
}

/// One place in the queue.
#[derive(Debug)]
enum Place {
    /// It has the waker of the future that was polled last.
    Waiting(Option<Waker>),
    /// The throttle has decided; the future has not been polled since.
    Decided(Result<Permit, Rejection>),
}

/// The task that sleeps until the next wake-up.
#[derive(Debug, Default)]
struct Driver {
    /// What it was told last.
    wakeup: Option<Duration>,
    /// How many requests wait, as it was told last; `None`: it never asked.
    queued: Option<usize>,
    /// There is news for it.
    is_stale: bool,
    waker: Option<Waker>,
}

impl State {
    pub(crate) fn new(throttle: Throttle) -> Self {
        Self {
            throttle,
            places: VecDeque::new(),
            waiting: 0,
            config_is_due: false,
            document_is_due: false,
            changes: 0,
            driver: Driver::default(),
        }
    }

    /// Opens a place for a request that the throttle has queued.
    pub(crate) fn wait(&mut self, id: RequestId) {
        self.places.push_back((id, Place::Waiting(None)));
        self.waiting += 1;
    }

    /// The decision about a place, or else its waker is kept.
    pub(crate) fn poll_place(&mut self, id: RequestId, context: &Context<'_>) -> Poll<Result<Permit, Rejection>> {
        if let Some(Place::Waiting(waker)) = self.place_mut(id) {
            *waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        match self.take_place(id) {
            Some(Place::Decided(decision)) => Poll::Ready(decision),
            // A place stays until its future has the decision or is dropped.
            Some(Place::Waiting(_)) | None => Poll::Pending,
        }
    }

    /// Leaves a place. A permit that was not taken goes back unused.
    pub(crate) fn leave(&mut self, id: RequestId, now: Duration) {
        match self.take_place(id) {
            Some(Place::Waiting(_)) => {
                self.waiting -= 1;
                self.throttle.abort(id, now);
            }
            Some(Place::Decided(Ok(permit))) => self.throttle.complete(permit, Outcome::Aborted, now),
            Some(Place::Decided(Err(_))) | None => {}
        }
    }

    /// Does what the throttle says is due. Gives the tasks to wake once the lock is free.
    pub(crate) fn settle(&mut self, now: Duration) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(event) = self.throttle.poll(now) {
            match event {
                Event::Start(id, permit) => self.decide(id, Ok(permit), now, &mut wakers),
                Event::Rejected(id, rejection) => self.decide(id, Err(rejection), now, &mut wakers),
                Event::Ask => self.want_config(),
                _ => {
                    self.changes += 1;
                    self.driver.is_stale = true;
                }
            }
        }
        self.driver.is_stale |= self.driver.wakeup != self.throttle.next_wakeup();
        self.driver.is_stale |= self.driver.queued.is_some_and(|queued| queued != self.waiting);
        if self.driver.is_stale {
            wakers.extend(self.driver.waker.take());
        }
        wakers
    }

    pub(crate) fn want_config(&mut self) {
        self.config_is_due = true;
        self.tell_driver();
    }

    pub(crate) fn want_document(&mut self) {
        self.document_is_due = true;
        self.tell_driver();
    }

    pub(crate) fn tell_driver(&mut self) {
        self.driver.is_stale = true;
    }

    /// How many requests wait, for the driver.
    pub(crate) fn tell_queued(&mut self) -> usize {
        *self.driver.queued.insert(self.waiting)
    }

    /// The next wake-up, for the driver.
    pub(crate) fn next_wakeup(&mut self) -> Option<Duration> {
        self.driver.wakeup = self.throttle.next_wakeup();
        self.driver.wakeup
    }

    /// Whether there is news for the driver, or else its waker is kept.
    pub(crate) fn poll_changed(&mut self, context: &Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.driver.is_stale) {
            return Poll::Ready(());
        }
        self.driver.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn decide(&mut self, id: RequestId, decision: Result<Permit, Rejection>, now: Duration, wakers: &mut Vec<Waker>) {
        match (self.place_mut(id), decision) {
            (Some(place), decision) => {
                if let Place::Waiting(waker) = std::mem::replace(place, Place::Decided(decision)) {
                    self.waiting -= 1;
                    wakers.extend(waker);
                }
            }
            // Who leaves a place also leaves the queue, so this does not happen. A permit that is lost would never end.
            (None, Ok(permit)) => self.throttle.complete(permit, Outcome::Aborted, now),
            (None, Err(_)) => {}
        }
    }

    fn place_mut(&mut self, id: RequestId) -> Option<&mut Place> {
        let index = self.index_of(id)?;
        self.places.get_mut(index).map(|(_, place)| place)
    }

    fn take_place(&mut self, id: RequestId) -> Option<Place> {
        let index = self.index_of(id)?;
        self.places.remove(index).map(|(_, place)| place)
    }

    fn index_of(&self, id: RequestId) -> Option<usize> {
        self.places.binary_search_by_key(&id, |(id, _)| *id).ok()
    }
}
