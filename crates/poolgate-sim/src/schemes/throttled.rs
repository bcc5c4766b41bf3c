//! A browser that runs the real throttle.

use std::time::Duration;

use poolgate_throttle::{
    Event, News, Order, Outcome as ThrottleOutcome, Permit, Request, RequestId, Settings, Submitted, Throttle,
};
use poolgate_types::ConfigVersion;

use crate::{
    random::{Random, Stream, seconds},
    scenario::Scenario,
    scheme::{Client, Message, Outcome, Verdict},
};

/// `poolgate-throttle`, and what the program around it keeps.
#[derive(Debug)]
pub struct Throttled {
    throttle: Throttle,
    settings: Settings,
    /// How long a browser that exists from the start has been open by then.
    age: Duration,
    /// When it was first used: its own clock began `age` before.
    first_used: Option<Duration>,
    /// A short list, searched in order.
    waiting: Vec<(RequestId, u32)>,
    sent: Vec<(u32, Permit)>,
    /// The last config, which a reloaded page hears first.
    config: Option<News>,
}

impl Throttled {
    /// A browser that lets requests wait in this order, with randomness of its own.
    pub fn new(scenario: &Scenario, order: Order, seed: u64) -> Self {
        let settings = Settings { queue_timeout: scenario.queue_timeout(), order, ..Settings::default() };
        let age = seconds(scenario.users.age_seconds * Random::new(seed, Stream::Clients).exponential());
        let mut throttle = Throttle::new(settings, seed);
        // The first call sets the start of its clock.
        let idle = throttle.poll(Duration::ZERO);
        debug_assert!(idle.is_none(), "{idle:?}");
        Self { throttle, settings, age, first_used: None, waiting: Vec::new(), sent: Vec::new(), config: None }
    }

    /// The time on this browser's own clock.
    fn clock(&mut self, now: Duration) -> Duration {
        let first = *self.first_used.get_or_insert(now);
        if !first.is_zero() {
            self.age = Duration::ZERO;
        }
        now + self.age - first
    }

    fn forget(&mut self, id: RequestId) -> Option<u32> {
        let place = self.waiting.iter().position(|(waiting, _)| *waiting == id)?;
        Some(self.waiting.swap_remove(place).1)
    }
}

impl Client for Throttled {
    fn submit(&mut self, request: u32, now: Duration) -> Verdict {
        let now = self.clock(now);
        match self.throttle.submit(Request::default(), now) {
            Submitted::Start(permit) => {
                self.sent.push((request, permit));
                Verdict::Start
            }
            Submitted::Queued(id) => {
                self.waiting.push((id, request));
                Verdict::Wait
            }
            Submitted::Rejected(_) => Verdict::Refuse,
        }
    }

    fn abort(&mut self, request: u32, now: Duration) {
        let now = self.clock(now);
        if let Some(place) = self.waiting.iter().position(|(_, waiting)| *waiting == request) {
            let (id, _) = self.waiting.swap_remove(place);
            self.throttle.abort(id, now);
        }
    }

    fn complete(&mut self, request: u32, outcome: Outcome, now: Duration) {
        let now = self.clock(now);
        let Some(place) = self.sent.iter().position(|(sent, _)| *sent == request) else { return };
        let (_, permit) = self.sent.swap_remove(place);
        let outcome = match outcome {
            Outcome::Served => ThrottleOutcome::Success,
            Outcome::Rejected { retry_after } => ThrottleOutcome::Rejected { retry_after: Some(retry_after) },
            Outcome::NoContact => ThrottleOutcome::Failure,
        };
        self.throttle.complete(permit, outcome, now);
    }

    fn hear(&mut self, message: &Message, now: Duration) {
        let now = self.clock(now);
        let news = match message {
            Message::Config(config) => News::Config(config.as_ref().clone()),
            Message::Heartbeat(version) => News::Current(*version),
            Message::NoContact => News::NoContact,
            Message::Credits(_) | Message::Lease { .. } => return,
        };
        // The simulator's configs are the controller's own, which are valid.
        let heard = self.throttle.configure(&news, now);
        debug_assert!(heard.is_ok(), "{heard:?}");
        if matches!(news, News::Config(_)) {
            self.config = Some(news);
        }
    }

    fn poll(&mut self, now: Duration) -> Option<(u32, Verdict)> {
        let now = self.clock(now);
        loop {
            match self.throttle.poll(now)? {
                Event::Start(id, permit) => {
                    let request = self.forget(id)?;
                    self.sent.push((request, permit));
                    return Some((request, Verdict::Start));
                }
                Event::Rejected(id, _) => return Some((self.forget(id)?, Verdict::Refuse)),
                // Here requests fail without contact only while nothing at all is answered.
                Event::Ask => {
                    let _ = self.throttle.configure(&News::NoContact, now);
                }
                _ => {}
            }
        }
    }

    fn next_wakeup(&self) -> Option<Duration> {
        let first = self.first_used?;
        self.throttle.next_wakeup().map(|at| (at + first).saturating_sub(self.age))
    }

    fn obeys(&self, now: Duration) -> Option<ConfigVersion> {
        let first = self.first_used?;
        self.throttle.state(now + self.age - first).version
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn reload(&mut self, random: &mut Random, now: Duration) {
        let now = self.clock(now);
        let savings = self.throttle.savings(now);
        self.throttle = Throttle::new(self.settings, random.number());
        self.waiting.clear();
        self.sent.clear();
        if let Some(savings) = savings {
            self.throttle.restore(&savings, Duration::ZERO, now);
        }
        if let Some(news) = self.config.clone() {
            let heard = self.throttle.configure(&news, now);
            debug_assert!(heard.is_ok(), "{heard:?}");
        }
    }
}
