//! What holds whatever happens: arbitrary calls, in any order, at any time, also backwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use poolgate_throttle::{
    Event, Limits, News, Outcome, Permit, Priority, Request, RequestId, Settings, Submitted, Throttle,
};
use poolgate_types::{ConfigHeader, Level, ThrottlingConfig};
use proptest::prelude::*;

use crate::{
    configs::{at, fair, fixed, half_open, normal, open},
    world::{ms, secs},
};

const MAX_QUEUE: usize = 8;

#[derive(Clone, Debug)]
enum Step {
    Submit(Request),
    Complete(usize, Outcome),
    Abort(usize),
    Configure(News),
    /// Milliseconds, forwards or backwards.
    Pass(i64),
    /// To the next wake-up.
    Wake,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => request().prop_map(Step::Submit),
        5 => (any::<usize>(), outcome()).prop_map(|(which, outcome)| Step::Complete(which, outcome)),
        1 => any::<usize>().prop_map(Step::Abort),
        2 => any_news().prop_map(Step::Configure),
        4 => prop_oneof![Just(0), 1..50_i64, 50..3000_i64, 1000..200_000_i64, -5000..0_i64].prop_map(Step::Pass),
        4 => Just(Step::Wake),
    ];
    prop::collection::vec(step, 1..200)
}

fn request() -> impl Strategy<Value = Request> {
    let timeout = prop_oneof![
        5 => Just(None),
        2 => (0..20_000_u64).prop_map(|timeout| Some(ms(timeout))),
        1 => Just(Some(Duration::MAX)),
    ];
    (prop::sample::select(&Priority::ALL[..]), timeout, prop::bool::weighted(0.05))
        .prop_map(|(priority, queue_timeout, bypass)| Request { priority, queue_timeout, bypass })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        5 => Just(Outcome::Success),
        3 => Just(Outcome::Failure),
        1 => Just(Outcome::Aborted),
        1 => prop::option::of(0..100_u64).prop_map(|after| Outcome::Rejected { retry_after: after.map(secs) }),
    ]
}

fn any_news() -> impl Strategy<Value = News> {
    prop_oneof![
        8 => any_config().prop_map(News::Config),
        4 => any_config().prop_map(|config| News::Header(ConfigHeader::from(&config))),
        2 => (0..50_u64).prop_map(|version| News::Current(at(version))),
        1 => Just(News::NoContact),
        1 => Just(News::HeaderMissing),
        1 => Just(News::NotFound),
    ]
}

fn any_config() -> impl Strategy<Value = ThrottlingConfig> {
    let levels = [Level::Normal, Level::Moderate, Level::Aggressive, Level::Emergency];
    let rate = prop_oneof![Just(f64::MIN_POSITIVE), 0.01..50.0, Just(f64::MAX), any::<f64>()];
    (0..50_u64, prop::sample::select(levels.to_vec()), rate, 0..12_u32, 0.0..1.0, 0..5).prop_map(
        |(version, level, rate, concurrency, fraction, kind)| match kind {
            0 => normal(version),
            1 => fair(version, rate, concurrency),
            2 => fixed(version, level),
            3 => open(version),
            _ => half_open(version, fraction),
        },
    )
}

/// What must be true of a throttle, kept apart from it.
struct Model {
    throttle: Throttle,
    now: Duration,
    latest: Duration,
    waiting: BTreeSet<RequestId>,
    running: Vec<(Permit, bool)>,
    outcomes: BTreeMap<RequestId, u32>,
    last_start: Option<Duration>,
    minute: Vec<Duration>,
}

impl Model {
    fn new(seed: u64) -> Self {
        let settings = Settings { max_queue: MAX_QUEUE, ..Settings::default() };
        Self {
            throttle: Throttle::new(settings, seed),
            now: Duration::ZERO,
            latest: Duration::ZERO,
            waiting: BTreeSet::new(),
            running: Vec::new(),
            outcomes: BTreeMap::new(),
            last_start: None,
            minute: Vec::new(),
        }
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Submit(request) => self.submit(request),
            Step::Complete(which, outcome) if !self.running.is_empty() => {
                let (permit, _) = self.running.swap_remove(which % self.running.len());
                self.throttle.complete(permit, outcome, self.now);
            }
            Step::Abort(which) if !self.waiting.is_empty() => {
                let id = *self.waiting.iter().nth(which % self.waiting.len()).unwrap();
                assert!(self.throttle.abort(id, self.now), "it waits, so it can be aborted");
                self.waiting.remove(&id);
                self.settle(id);
            }
            Step::Complete(..) | Step::Abort(_) => {}
            Step::Configure(news) => {
                let _ = self.throttle.configure(&news, self.now);
            }
            Step::Pass(ms) => {
                let by = Duration::from_millis(ms.unsigned_abs());
                self.now = if ms < 0 { self.now.saturating_sub(by) } else { self.now + by };
            }
            Step::Wake => self.now = self.throttle.next_wakeup().unwrap_or(self.now),
        }
        self.latest = self.latest.max(self.now);
        self.drain();
        self.check();
    }

    fn submit(&mut self, request: Request) {
        self.latest = self.latest.max(self.now);
        match self.throttle.submit(request, self.now) {
            Submitted::Start(permit) => {
                self.settle(permit.id());
                self.start(permit, request.bypass);
            }
            Submitted::Queued(id) => assert!(self.waiting.insert(id)),
            Submitted::Rejected(_) => {}
        }
    }

    fn drain(&mut self) {
        let mut events = 0;
        while let Some(event) = self.throttle.poll(self.now) {
            events += 1;
            assert!(events < 100, "poll must come to an end");
            match event {
                Event::Start(id, permit) => {
                    assert!(self.waiting.remove(&id), "only what waits can start");
                    self.settle(id);
                    self.start(permit, false);
                }
                Event::Rejected(id, _) => {
                    assert!(self.waiting.remove(&id), "only what waits can be rejected");
                    self.settle(id);
                }
                _ => {}
            }
        }
    }

    /// Each request gets one outcome.
    fn settle(&mut self, id: RequestId) {
        let outcomes = self.outcomes.entry(id).or_default();
        *outcomes += 1;
        assert_eq!(*outcomes, 1, "{id:?}");
    }

    /// No start exceeds a limit.
    fn start(&mut self, permit: Permit, bypass: bool) {
        self.running.push((permit, bypass));
        if bypass {
            return;
        }
        let Limits { concurrency, spacing, per_minute, .. } = self.throttle.state(self.now).limits;
        let running = self.running.iter().filter(|(_, bypass)| !bypass).count();
        assert!(concurrency.is_none_or(|most| running <= most as usize));
        assert!(self.last_start.is_none_or(|last| self.latest >= last + spacing));
        self.last_start = Some(self.latest);
        match per_minute {
            // Starts that were free of the limit do not count against it.
            None => self.minute.clear(),
            Some(most) => {
                self.minute.push(self.latest);
                let recent = self.minute.iter().filter(|at| **at + secs(60) > self.latest).count();
                assert!(recent <= most as usize, "{recent} starts in a minute, {most} allowed");
            }
        }
    }

    fn check(&self) {
        let state = self.throttle.state(self.now);
        let running = self.running.iter().filter(|(_, bypass)| !bypass).count();
        assert_eq!(state.in_flight as usize, running);
        assert_eq!(state.queued, self.waiting.len());
        assert!(state.queued <= MAX_QUEUE);
        let wakeup = self.throttle.next_wakeup();
        assert!(wakeup.is_none_or(|at| at > self.latest), "{wakeup:?} is not after {:?}", self.latest);
        assert!(wakeup.is_some() || self.waiting.is_empty(), "who waits is woken");
    }

    /// Left alone, everything that waits leaves, and not by waking a thousand times.
    fn come_to_rest(&mut self) {
        for (permit, _) in self.running.drain(..) {
            self.throttle.complete(permit, Outcome::Success, self.now);
        }
        self.drain();
        let mut wakeups = 0;
        while let Some(at) = self.throttle.next_wakeup() {
            wakeups += 1;
            assert!(wakeups < 1000, "at {at:?}");
            (self.now, self.latest) = (at, at);
            self.drain();
            for (permit, _) in self.running.drain(..) {
                self.throttle.complete(permit, Outcome::Success, at);
            }
            self.drain();
            self.check();
        }
        assert!(self.waiting.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(seed: u64, steps in steps()) {
        let mut model = Model::new(seed);
        for step in steps {
            model.act(step);
        }
        model.come_to_rest();
    }
}
