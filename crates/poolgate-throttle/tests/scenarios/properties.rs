//! Invariants under arbitrary calls, in any order, at any time, also backwards, and across reloads.
//!
//! `PROPTEST_CASES=200000 cargo test -p poolgate-throttle properties` tries more cases.

use std::{collections::BTreeMap, time::Duration};

use poolgate_throttle::{
    Backoff, Event, Limits, News, Order, Outcome, Permit, Priority, RejectReason, Request, RequestId, Savings,
    Settings, Share, Submitted, Throttle,
};
use poolgate_types::{CircuitState, ConfigHeader, ConfigVersion, Level, ThrottlingConfig};
use proptest::prelude::*;

use crate::{
    configs::{EPOCH, fair, fixed, half_open, normal, open},
    world::{ms, secs},
};

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
    /// The gate's rejection is reported late, with this `Retry-After` in seconds.
    TurnedAway(Option<u64>),
    /// Another share of the client's limits, with tokens.
    Share(Share, f64),
    /// A failed request asks for a retry.
    Retry(Option<u64>),
    /// The page reloads and is back after this many milliseconds.
    Reload(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => request().prop_map(Step::Submit),
        5 => (any::<usize>(), outcome()).prop_map(|(which, outcome)| Step::Complete(which, outcome)),
        1 => any::<usize>().prop_map(Step::Abort),
        2 => any_news().prop_map(Step::Configure),
        4 => prop_oneof![Just(0), 1..50_i64, 50..3000_i64, 1000..200_000_i64, -5000..0_i64].prop_map(Step::Pass),
        4 => Just(Step::Wake),
        1 => prop_oneof![0..2000_u64, 0..100_000_u64].prop_map(Step::Reload),
        1 => prop::option::of(0..100_u64).prop_map(Step::TurnedAway),
        1 => (share(), prop_oneof![0.0..3.0, any::<f64>()]).prop_map(|(share, tokens)| Step::Share(share, tokens)),
        1 => prop::option::of(any::<u64>()).prop_map(Step::Retry),
    ];
    prop::collection::vec(step, 1..200)
}

fn share() -> impl Strategy<Value = Share> {
    prop_oneof![
        2 => Just(Share::default()),
        1 => (0..12_u32).prop_map(Share::AllBut),
        2 => (0..12_u32, 0..12_u32).prop_map(|(held, of)| Share::Slots { held, of }),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let order = prop::sample::select(vec![Order::NewestUnderOverload, Order::Arrival]);
    (0..12_usize, 100..20_000_u64, order).prop_map(|(max_queue, timeout, order)| Settings {
        max_queue,
        queue_timeout: ms(timeout),
        order,
    })
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
        2 => (epoch(), 0..50_u64).prop_map(|(epoch, version)| News::Current(ConfigVersion { epoch, version })),
        1 => Just(News::NoContact),
        1 => Just(News::HeaderMissing),
        1 => Just(News::NotFound),
        1 => prop::bool::weighted(0.2).prop_map(|closed| if closed { News::Closed } else { News::NoContact }),
    ]
}

fn any_config() -> impl Strategy<Value = ThrottlingConfig> {
    let levels = [Level::Normal, Level::Moderate, Level::Aggressive, Level::Emergency];
    let rate = prop_oneof![Just(f64::MIN_POSITIVE), 0.01..50.0, Just(f64::MAX), any::<f64>()];
    let at = (epoch(), 0..50_u64);
    (at, prop::sample::select(levels.to_vec()), rate, 0..12_u32, 0.0..1.0, 0..6).prop_map(
        |((epoch, version), level, rate, concurrency, fraction, kind)| {
            let config = match kind {
                0 => normal(version),
                1 | 2 => fair(version, rate, concurrency),
                3 => fixed(version, level),
                4 => open(version),
                _ => half_open(version, fraction),
            };
            ThrottlingConfig { epoch, ..config }
        },
    )
}

/// Mostly one server, sometimes another one.
fn epoch() -> impl Strategy<Value = u64> {
    prop_oneof![8 => Just(EPOCH), 2 => (0..3_u64).prop_map(|later| EPOCH + later)]
}

/// What must be true of a throttle, tracked independently of it.
struct Model {
    throttle: Throttle,
    settings: Settings,
    seed: u64,
    now: Duration,
    latest: Duration,
    /// The deadline of each queued request.
    waiting: BTreeMap<RequestId, Duration>,
    running: Vec<(Permit, bool)>,
    outcomes: BTreeMap<RequestId, u32>,
    last_start: Option<Duration>,
    minute: Vec<Duration>,
    budget: Budget,
    submitted: u32,
    retries: u32,
}

/// The most tokens that any bucket could hold: it starts full, and each start has the lowest cost.
#[derive(Debug, Default)]
struct Budget {
    tokens: f64,
    rate: Option<f64>,
}

impl Budget {
    fn refill(&mut self, time: Duration) {
        if let Some(rate) = self.rate {
            self.tokens = (self.tokens + rate * time.as_secs_f64()).min(rate.max(1.5));
        }
    }

    /// Keeps the used share; without queued requests, the time since the last start.
    fn set_rate(&mut self, rate: f64, waits: bool) {
        let full = rate.max(1.5);
        self.tokens = self.rate.replace(rate).map_or(full, |before| {
            let same_share = full / before.max(1.5);
            let factor = if waits { same_share } else { same_share.max(rate / before) };
            (self.tokens * factor).min(full)
        });
    }
}

impl Model {
    fn new(settings: Settings, seed: u64) -> Self {
        Self {
            throttle: Throttle::new(settings, seed),
            settings,
            seed,
            now: Duration::ZERO,
            latest: Duration::ZERO,
            waiting: BTreeMap::new(),
            running: Vec::new(),
            outcomes: BTreeMap::new(),
            last_start: None,
            minute: Vec::new(),
            budget: Budget::default(),
            submitted: 0,
            retries: 0,
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
                let id = *self.waiting.keys().nth(which % self.waiting.len()).unwrap();
                assert!(self.throttle.abort(id, self.now), "a queued request can be aborted");
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
            Step::TurnedAway(seconds) => {
                let by = seconds.map(|seconds| EPOCH + seconds % 3);
                self.throttle.turned_away(seconds.map(secs), by, self.now);
            }
            Step::Share(share, tokens) => {
                let given = self.throttle.set_share(share, tokens, self.now);
                assert!(given.is_finite() && given >= 0.0, "{given}");
                self.budget.tokens += if tokens.is_finite() { tokens.max(0.0) } else { 0.0 };
            }
            Step::Retry(seconds) => self.retry(seconds.map(secs)),
            Step::Reload(gap) => self.reload(ms(gap)),
        }
        self.keep_time();
        self.drain();
        self.check();
    }

    /// Takes over time and limits from the throttle that has just been called.
    fn keep_time(&mut self) {
        let before = self.latest;
        self.latest = self.latest.max(self.now);
        self.budget.refill(self.latest - before);
        if let Some(rate) = self.throttle.state(self.now).limits.rate_per_second {
            self.budget.set_rate(rate, !self.waiting.is_empty());
        }
    }

    /// All retries together are at most a tenth of the requests, plus one.
    fn retry(&mut self, retry_after: Option<Duration>) {
        let state = self.throttle.state(self.now);
        let Some(wait) = self.throttle.retry(&mut Backoff::default(), retry_after, self.now) else { return };
        self.retries += 1;
        assert!(wait <= secs(60) && wait >= retry_after.unwrap_or_default().min(secs(30)));
        assert!(state.level <= Level::Moderate && state.breaker == CircuitState::Closed);
        assert!(self.retries <= (self.submitted / 10).max(1), "{} of {}", self.retries, self.submitted);
    }

    /// Queued requests and requests in flight end with the page; the budget does not.
    fn reload(&mut self, gap: Duration) {
        let savings = self.throttle.savings(self.now);
        self.seed = self.seed.wrapping_add(1);
        self.throttle = Throttle::new(self.settings, self.seed);
        self.latest = self.now;
        match savings {
            Some(savings) => assert!(self.throttle.restore(&savings, gap, self.now), "{savings:?}"),
            None => self.budget.rate = None,
        }
        self.budget.refill(gap);
        self.waiting.clear();
        self.outcomes.clear();
        (self.submitted, self.retries) = (0, 0);
        self.last_start = None;
        self.minute.clear();
        for (permit, _) in self.running.drain(..) {
            self.throttle.complete(permit, Outcome::Failure, self.now);
        }
    }

    fn submit(&mut self, request: Request) {
        let submitted = self.throttle.submit(request, self.now);
        self.submitted += 1;
        self.keep_time();
        match submitted {
            Submitted::Start(permit) => {
                self.settle(permit.id());
                self.start(permit, request.bypass);
            }
            Submitted::Queued(id) => {
                let timeout = request.queue_timeout.unwrap_or(self.settings.queue_timeout).min(secs(3600));
                assert!(self.waiting.insert(id, self.latest + timeout).is_none());
            }
            Submitted::Rejected(_) => {}
        }
    }

    fn drain(&mut self) {
        let mut events = 0;
        while let Some(event) = self.throttle.poll(self.now) {
            self.keep_time();
            events += 1;
            assert!(events < 100, "poll must come to an end");
            match event {
                Event::Start(id, permit) => {
                    let deadline = self.waiting.remove(&id).unwrap();
                    assert!(deadline > self.latest, "too late");
                    self.settle(id);
                    self.start(permit, false);
                }
                Event::Rejected(id, rejection) => {
                    let deadline = self.waiting.remove(&id).unwrap();
                    let timed_out = rejection.reason == RejectReason::QueueTimeout;
                    assert!(!timed_out || deadline <= self.latest, "too early");
                    self.settle(id);
                }
                _ => {}
            }
        }
    }

    /// Each request ends once.
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
        let state = self.throttle.state(self.now);
        assert!(state.passes_through || state.breaker != CircuitState::Open);
        let waits = state.eta.map_or(Duration::ZERO, |eta| eta.earliest);
        assert!(state.limits != Limits::default() || waits.is_zero(), "nothing starts during a pause: {waits:?}");
        let Limits { rate_per_second, concurrency, spacing, per_minute, .. } = state.limits;
        if let Some(rate) = rate_per_second {
            self.budget.tokens -= 0.5;
            assert!(self.budget.tokens > -1e-3, "{:?} at {rate}/s", self.budget);
        }
        let running = self.running.iter().filter(|(_, bypass)| !bypass).count();
        assert!(concurrency.is_none_or(|most| running <= most as usize));
        assert!(self.last_start.is_none_or(|last| self.latest >= last + spacing));
        self.last_start = Some(self.latest);
        match per_minute {
            // Starts outside the limit do not count.
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
        assert!(state.eta.is_none_or(|eta| eta.earliest <= eta.latest));
        let running = self.running.iter().filter(|(_, bypass)| !bypass).count();
        assert_eq!(state.in_flight as usize, running);
        assert_eq!(state.queued, self.waiting.len());
        assert!(state.queued <= self.settings.max_queue);
        let wakeup = self.throttle.next_wakeup();
        assert!(wakeup.is_none_or(|at| at > self.latest), "{wakeup:?} is not after {:?}", self.latest);
        assert!(wakeup.is_some() || self.waiting.is_empty(), "queued requests are woken");
    }

    /// Left alone, the queue empties, with a bounded number of wake-ups.
    fn come_to_rest(&mut self) {
        for (permit, _) in self.running.drain(..) {
            self.throttle.complete(permit, Outcome::Success, self.now);
        }
        self.drain();
        let mut wakeups = 0;
        while let Some(at) = self.throttle.next_wakeup() {
            wakeups += 1;
            assert!(wakeups < 1000, "at {at:?}");
            self.now = at;
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
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(2000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn arbitrary_calls_keep_the_invariants(seed: u64, settings in settings(), steps in steps()) {
        let mut model = Model::new(settings, seed);
        for step in steps {
            model.act(step);
        }
        model.come_to_rest();
    }

    #[test]
    fn arbitrary_savings_are_safe_to_restore(numbers: [f64; 4], epoch: u64, age in 0..10_000_000_u64, config in any_config()) {
        let [tokens, rate_per_second, next_cost, paused_for_seconds] = numbers;
        let savings = Savings { tokens, rate_per_second, next_cost, paused_for_seconds, epoch };
        check_restored(&savings, ms(age), &config);
    }

    #[test]
    fn valid_savings_are_restored_and_saved_again(
        (share, rate) in (0.0..=1.0, 1e-6..1e6),
        (next_cost, paused_for_seconds) in (0.5..=1.5, 0.0..=60.0),
        age in 0..100_000_u64,
        config in any_config(),
    ) {
        let (tokens, rate_per_second) = (share * f64::max(rate / 4.0, 1.5), rate);
        let savings = Savings { tokens, rate_per_second, next_cost, paused_for_seconds, epoch: EPOCH };
        assert!(check_restored(&savings, ms(age), &config));
    }
}

/// Savings are valid after every valid restore.
fn check_restored(savings: &Savings, age: Duration, config: &ThrottlingConfig) -> bool {
    let mut throttle = Throttle::new(Settings::default(), 1);
    let restored = throttle.restore(savings, age, secs(1));
    let _ = throttle.configure(&News::Config(config.clone()), secs(2));
    let again = throttle.savings(secs(3));
    assert!(again.is_none_or(|again| Throttle::new(Settings::default(), 1).restore(&again, age, secs(4))), "{again:?}");
    restored
}
