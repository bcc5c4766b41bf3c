//! The front in virtual time, polled by hand: no executor, no timer.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use poolgate_front::{Asked, Calendar, Front, Head, Ticket, Waiting};
use poolgate_throttle::{Backoff, News, Outcome, RejectReason, Request, Settings};
use poolgate_types::{ConfigVersion, Level, ThrottlingConfig};

/// A front, and the time that it sees.
struct World {
    front: Front,
    millis: Arc<AtomicU64>,
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Woken {
    fn times(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl World {
    fn new() -> Self {
        let millis = Arc::<AtomicU64>::default();
        let clock = Arc::clone(&millis);
        Self { front: Front::new(Settings::default(), 42, move || Duration::from_millis(clock.load(Relaxed))), millis }
    }

    /// One request at a time, at a rate that does not matter after a second.
    fn one_at_a_time() -> Self {
        let world = Self::new();
        world.hear(1, |config| {
            config.throttling_level = Level::Moderate;
            config.enforced = true;
            config.fair_rate_per_second = Some(100.0);
            config.max_concurrent_requests = 1;
        });
        world.pass(1000);
        world
    }

    fn hear(&self, version: u64, change: impl FnOnce(&mut ThrottlingConfig)) {
        let mut config = ThrottlingConfig::normal(ConfigVersion { epoch: 1, version });
        change(&mut config);
        self.front.hear(&News::Config(config));
    }

    fn pass(&self, millis: u64) {
        self.millis.fetch_add(millis, Relaxed);
    }

    /// What the driver does, until nothing waits for time alone.
    fn drive(&self) {
        while let Some(wakeup) = self.front.next_wakeup() {
            self.millis.fetch_max(u64::try_from(wakeup.as_millis()).expect("soon") + 1, Relaxed);
            self.front.poll();
        }
    }

    fn start(&self) -> Ticket {
        match self.front.ask(Request::default()) {
            Asked::Start(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn queue(&self) -> Waiting {
        match self.front.ask(Request::default()) {
            Asked::Queued(waiting) => waiting,
            other => panic!("{other:?}"),
        }
    }

    /// Requests in flight, and those that wait.
    fn load(&self) -> (u32, usize) {
        let state = self.front.state();
        (state.in_flight, state.queued)
    }
}

/// No test here has a date.
struct Never;

impl Calendar for Never {
    fn today(&self) -> Duration {
        Duration::ZERO
    }

    fn read(&self, _date: &str) -> Option<Duration> {
        None
    }
}

fn poll<F: Future>(future: Pin<&mut F>, woken: &Arc<Woken>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(woken))))
}

fn answer(status: u16) -> Head {
    Head::read(status, |_| None::<&str>, &Never)
}

#[test]
fn everything_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Front>();
    shared::<Ticket>();
    shared::<Waiting>();
    shared::<Head>();
}

#[test]
fn a_request_waits_for_the_one_before_it_and_its_task_is_woken() {
    let world = World::one_at_a_time();
    let first = world.start();
    let mut second = pin!(world.queue());
    let woken = Arc::<Woken>::default();
    assert!(poll(second.as_mut(), &woken).is_pending());
    assert_eq!((world.load(), woken.times()), ((1, 1), 0));
    world.pass(1000);
    first.finish(&answer(200), false);
    assert_eq!(woken.times(), 1);
    let Poll::Ready(Ok(ticket)) = poll(second.as_mut(), &woken) else { panic!("its turn") };
    assert_eq!(world.load(), (1, 0));
    ticket.complete(Outcome::Failure);
    assert_eq!(world.load(), (0, 0));
}

#[test]
fn a_ticket_that_is_dropped_gives_itself_back() {
    let world = World::one_at_a_time();
    let ticket = world.start();
    let mut next = pin!(world.queue());
    drop(ticket);
    world.drive();
    assert!(matches!(poll(next.as_mut(), &Arc::default()), Poll::Ready(Ok(_))));
}

#[test]
fn a_place_that_is_dropped_leaves_the_queue_and_spends_nothing() {
    let world = World::one_at_a_time();
    let first = world.start();
    drop(world.queue());
    assert_eq!(world.load(), (1, 0));
    // Decided, and never looked at: the permit goes to the next.
    let (decided, mut next) = (world.queue(), pin!(world.queue()));
    world.pass(1000);
    drop(first);
    assert_eq!(world.load(), (1, 1));
    drop(decided);
    world.drive();
    assert!(matches!(poll(next.as_mut(), &Arc::default()), Poll::Ready(Ok(_))));
    assert_eq!(world.load(), (0, 0), "the ticket is gone as well");
}

#[test]
fn what_waits_too_long_is_rejected_when_the_driver_wakes() {
    let world = World::one_at_a_time();
    let _first = world.start();
    let mut second = pin!(world.queue());
    let woken = Arc::<Woken>::default();
    assert!(poll(second.as_mut(), &woken).is_pending());
    world.drive();
    assert_eq!(woken.times(), 1);
    let Poll::Ready(Err(rejection)) = poll(second.as_mut(), &woken) else { panic!("it has waited for 10 s") };
    assert_eq!(rejection.reason, RejectReason::QueueTimeout);
    assert!(poll(second.as_mut(), &woken).is_pending(), "a future that has ended does not panic");
}

#[test]
fn closing_rejects_what_waits_and_lets_the_rest_pass() {
    let world = World::one_at_a_time();
    let _first = world.start();
    let mut second = pin!(world.queue());
    world.front.hear(&News::Closed);
    let Poll::Ready(Err(rejection)) = poll(second.as_mut(), &Arc::default()) else { panic!("closed") };
    assert_eq!(rejection.reason, RejectReason::Closed);
    drop(world.start());
}

#[test]
fn the_driver_hears_of_another_wakeup_and_of_a_config_to_fetch() {
    let world = World::one_at_a_time();
    let woken = Arc::<Woken>::default();
    let again = || Box::pin(world.front.changed());
    let mut changed = again();
    // The level has changed since the start.
    assert!(poll(changed.as_mut(), &woken).is_ready());
    assert_eq!(world.front.next_wakeup(), None);
    changed = again();
    assert!(poll(changed.as_mut(), &woken).is_pending());
    let _first = world.start();
    assert_eq!(woken.times(), 0, "nothing waits for time");
    let _second = world.queue();
    assert_eq!(woken.times(), 1);
    assert!(poll(changed.as_mut(), &woken).is_ready());
    assert!(world.front.next_wakeup().is_some());
    changed = again();
    assert!(poll(changed.as_mut(), &woken).is_pending());
    assert!(!world.front.config_is_due());
    world.front.hear(&News::Current(ConfigVersion { epoch: 1, version: 9 }));
    assert_eq!(woken.times(), 2);
    assert!(world.front.config_is_due() && !world.front.config_is_due(), "once");
}

#[test]
fn the_gates_rejection_pauses_and_a_foreign_one_does_not() {
    const CONFIG: &str = "e=1, v=1, level=NORMAL, concurrency=10, open=?0";
    let header = |name: &str| match name {
        "poolgate-config" => Some(CONFIG),
        "content-type" => Some("application/problem+json"),
        "retry-after" => Some("5"),
        _ => None,
    };
    let head = Head::read(503, header, &Never);
    let (gates, foreign) = (br#"{"code":"database_unavailable"}"#, br#"{"code":"maintenance"}"#);
    let fresh = || {
        let world = World::new();
        world.hear(1, |_| {});
        world
    };
    let world = fresh();
    world.start().finish(&head, head.is_rejection(foreign));
    drop(world.start());

    let world = fresh();
    world.start().finish(&head, head.is_rejection(gates));
    drop(world.queue());
    world.pass(10_000);
    drop(world.start());

    // The body comes after the head.
    let world = fresh();
    world.start().finish(&head, false);
    drop(world.start());
    world.front.heed(&head);
    drop(world.queue());
}

#[test]
fn a_driver_that_has_asked_hears_of_every_change_of_the_queue() {
    let world = World::one_at_a_time();
    let woken = Arc::<Woken>::default();
    let _first = world.start();
    let second = world.queue();
    let settle = || {
        while poll(Box::pin(world.front.changed()).as_mut(), &woken).is_ready() {
            world.front.next_wakeup();
            world.front.queued();
        }
    };
    settle();
    // The next wake-up is the second's, so the third changes nothing else.
    let third = world.queue();
    assert_eq!((woken.times(), world.front.queued()), (1, 2));
    settle();
    drop(third);
    assert_eq!((woken.times(), world.front.queued()), (2, 1));
    settle();
    drop(second);
    assert_eq!((woken.times(), world.front.queued()), (3, 0));
}

#[test]
fn a_header_with_newer_limits_asks_for_the_document_once() {
    let world = World::one_at_a_time();
    let finish = |text: &'static str| {
        let head = Head::read(200, |name| (name == "poolgate-config").then_some(text), &Never);
        world.start().finish(&head, false);
        world.pass(1000);
    };
    finish("e=1, v=1, level=MODERATE, interval=10, concurrency=1, open=?0");
    assert!(!world.front.document_is_due(), "it is known");
    finish("e=1, v=2, level=NORMAL, concurrency=10, open=?0");
    assert!(world.front.document_is_due() && !world.front.document_is_due(), "once");
    assert!(!world.front.config_is_due(), "the limits are in force already");
    assert_eq!(world.front.state().rate_per_second, None);
}

#[test]
fn the_next_front_continues_the_budget() {
    let world = World::one_at_a_time();
    world.start().finish(&answer(200), false);
    let savings = world.front.savings().expect("a token is missing");
    let next = World::new();
    next.front.restore(&savings, Duration::ZERO);
    assert_eq!(next.front.savings(), Some(savings));
    assert_eq!(World::new().front.savings(), None, "a new client has nothing to save");
}

#[test]
fn retries_are_granted_and_limited() {
    let world = World::new();
    world.hear(1, |_| {});
    let mut backoff = Backoff::default();
    let wait = world.front.retry(&mut backoff, Some(Duration::from_secs(2))).expect("the first is lent");
    assert!(wait >= Duration::from_secs(2), "{wait:?}");
    assert_eq!(world.front.retry(&mut backoff, None), None, "the next needs ten requests");
}
