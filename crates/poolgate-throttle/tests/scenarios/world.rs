//! A throttle, requests that take time, and a clock that jumps from event to event.

use std::{collections::VecDeque, time::Duration};

use poolgate_throttle::{
    Configured, Event, News, Outcome, Permit, Priority, RejectReason, Rejection, Request, RequestId, Settings, State,
    Submitted, Throttle,
};
use poolgate_types::ThrottlingConfig;

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) struct World {
    pub(crate) throttle: Throttle,
    pub(crate) now: Duration,
    /// Duration and outcome of a request.
    pub(crate) service: (Duration, Outcome),
    pub(crate) starts: Vec<(Duration, RequestId)>,
    pub(crate) rejections: Vec<(Duration, RequestId, Rejection)>,
    pub(crate) changes: Vec<Event>,
    /// Permits of ended requests, if the test completes them itself.
    pub(crate) by_hand: Option<VecDeque<Permit>>,
    /// The answer to the throttle's question.
    pub(crate) answer: News,
    running: Vec<(Duration, Permit, Outcome)>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_settings(Settings::default(), seed)
    }

    pub(crate) fn with_settings(settings: Settings, seed: u64) -> Self {
        Self {
            throttle: Throttle::new(settings, seed),
            now: Duration::ZERO,
            service: (ms(50), Outcome::Success),
            starts: Vec::new(),
            rejections: Vec::new(),
            changes: Vec::new(),
            by_hand: None,
            answer: News::NoContact,
            running: Vec::new(),
        }
    }

    /// A world whose throttle has this config.
    pub(crate) fn configured(config: ThrottlingConfig, seed: u64) -> Self {
        let mut world = Self::new(seed);
        assert_eq!(world.configure(News::Config(config)), Configured::Applied);
        world
    }

    pub(crate) fn configure(&mut self, news: News) -> Configured {
        let configured = self.throttle.configure(&news, self.now).unwrap();
        self.drain();
        configured
    }

    /// Submits a request of normal priority.
    pub(crate) fn submit(&mut self) -> Result<Option<RequestId>, Rejection> {
        self.submit_as(Request::default())
    }

    pub(crate) fn submit_at(&mut self, priority: Priority) -> Result<Option<RequestId>, Rejection> {
        self.submit_as(Request { priority, ..Request::default() })
    }

    /// `Ok(None)`: started at once.
    pub(crate) fn submit_as(&mut self, request: Request) -> Result<Option<RequestId>, Rejection> {
        let submitted = self.throttle.submit(request, self.now);
        let answer = match submitted {
            Submitted::Start(permit) => {
                self.start(permit);
                Ok(None)
            }
            Submitted::Queued(id) => Ok(Some(id)),
            Submitted::Rejected(rejection) => Err(rejection),
        };
        self.drain();
        answer
    }

    pub(crate) fn complete(&mut self, permit: Permit, outcome: Outcome) {
        self.throttle.complete(permit, outcome, self.now);
        self.drain();
    }

    /// The next request that has ended but is not completed.
    pub(crate) fn take_ended(&mut self) -> Option<Permit> {
        self.by_hand.as_mut()?.pop_front()
    }

    pub(crate) fn abort(&mut self, id: RequestId) -> bool {
        let aborted = self.throttle.abort(id, self.now);
        self.drain();
        aborted
    }

    pub(crate) fn state(&self) -> State {
        self.throttle.state(self.now)
    }

    /// How long the pause still holds requests back, if nothing else does.
    pub(crate) fn paused_for(&self) -> Duration {
        self.state().eta.unwrap().earliest
    }

    /// Runs until `end`, from one wake-up or end of a request to the next; returns the number of steps.
    pub(crate) fn run_until(&mut self, end: Duration) -> u32 {
        let mut steps = 0;
        loop {
            let wakeup = self.throttle.next_wakeup();
            assert!(wakeup.is_none_or(|at| at > self.now), "wake-up {wakeup:?} at {:?}", self.now);
            let ending = self.running.iter().map(|(at, ..)| *at).min();
            let next = [wakeup, ending].into_iter().flatten().min().unwrap_or(Duration::MAX);
            if next > end {
                self.now = end;
                self.drain();
                return steps;
            }
            self.now = next;
            steps += 1;
            let ended = self.running.extract_if(.., |(at, ..)| *at <= next).collect::<Vec<_>>();
            for (_, permit, outcome) in ended {
                match &mut self.by_hand {
                    Some(ended) => ended.push_back(permit),
                    None => self.throttle.complete(permit, outcome, next),
                }
            }
            self.drain();
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) -> u32 {
        self.run_until(self.now + time)
    }

    /// Moves time without calling the throttle, like a sleeping tab.
    pub(crate) fn sleep(&mut self, time: Duration) {
        self.now += time;
    }

    /// Sends one request after another, each when the last one has ended, until one ends at or after `end`.
    pub(crate) fn send_until(&mut self, end: Duration) {
        while self.now < end {
            let _ = self.submit();
            self.run_for(self.service.0.max(ms(1)));
        }
    }

    pub(crate) fn reasons(&self) -> Vec<RejectReason> {
        self.rejections.iter().map(|(_, _, rejection)| rejection.reason).collect()
    }

    fn drain(&mut self) {
        while let Some(event) = self.throttle.poll(self.now) {
            match event {
                Event::Start(id, permit) => {
                    assert_eq!(id, permit.id());
                    self.start(permit);
                }
                Event::Rejected(id, rejection) => self.rejections.push((self.now, id, rejection)),
                Event::Ask => drop(self.throttle.configure(&self.answer, self.now)),
                change => self.changes.push(change),
            }
        }
    }

    fn start(&mut self, permit: Permit) {
        self.starts.push((self.now, permit.id()));
        self.running.push((self.now + self.service.0, permit, self.service.1));
    }
}
