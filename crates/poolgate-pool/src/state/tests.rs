//! The rules without a database: connections and callers are numbers, and time is what a test says it is.

use std::collections::{BTreeSet, VecDeque};
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::error::AcquireError;

/// Plays the part of the callers, the tasks and the clock, and checks the rules after every step.
struct World {
    state: State<u32, u32>,
    now: Instant,
    config: PoolConfig,
    leases: VecDeque<(u64, Pooled<u32>)>,
    connecting: u32,
    verifying: VecDeque<Pooled<u32>>,
    closing: VecDeque<Pooled<u32>>,
    queue: VecDeque<(u64, u32)>,
    dismissed: Vec<u32>,
    retry_at: Option<Instant>,
    opened: u32,
    callers: u32,
    /// What a resize may leave open beyond the capacity.
    tolerated: u32,
}

impl World {
    fn new(config: PoolConfig) -> Self {
        Self {
            state: State::new(&config),
            now: Instant::now(),
            config,
            leases: VecDeque::new(),
            connecting: 0,
            verifying: VecDeque::new(),
            closing: VecDeque::new(),
            queue: VecDeque::new(),
            dismissed: Vec::new(),
            retry_at: None,
            opened: 0,
            callers: 0,
            tolerated: 0,
        }
    }

    /// A caller asks; true: served at once.
    fn acquire(&mut self) -> Result<bool, AcquireError> {
        self.callers += 1;
        let caller = self.callers;
        let place = Location::caller();
        let found = self.state.check_out(place, self.now)?;
        self.closing.extend(found.expired);
        if let Some((issued, _)) = found.issued {
            self.leases.push_back((issued.lease, issued.pooled));
            self.check();
            return Ok(true);
        }
        let ticket = self.state.wait(place, self.now, || caller)?;
        self.queue.push_back((ticket, caller));
        self.pump();
        Ok(false)
    }

    fn give_up(&mut self, index: usize) {
        if let Some((ticket, _)) = self.queue.remove(index) {
            assert!(self.state.leave(ticket));
        }
        self.check();
    }

    fn give_back(&mut self, index: usize, verdict: Verdict) {
        if let Some((lease, pooled)) = self.leases.remove(index) {
            let placement = self.state.check_in(lease, pooled, verdict, self.now);
            self.settle(placement);
        }
    }

    fn connect_ends(&mut self, result: Result<(), AcquireError>) {
        if self.connecting == 0 {
            return;
        }
        self.connecting -= 1;
        match result {
            Ok(()) => {
                self.opened += 1;
                let generation = self.state.generation();
                let placement = self
                    .state
                    .connected(self.opened, generation, None, self.now);
                self.settle(placement);
            }
            Err(error) => {
                for caller in self.state.connect_failed(&error, self.now, 0.0) {
                    assert_eq!(self.queue.pop_front().map(|(_, first)| first), Some(caller));
                    self.dismissed.push(caller);
                }
            }
        }
        self.pump();
    }

    fn verify_ends(&mut self, well: bool) {
        if let Some(pooled) = self.verifying.pop_front() {
            let placement = match well {
                true => self.state.verified(pooled, self.now),
                false => self.state.verify_failed(pooled),
            };
            self.settle(placement);
        }
    }

    fn close_ends(&mut self) {
        if self.closing.pop_front().is_some() {
            self.state.close_ended();
            self.pump();
        }
    }

    fn resize(&mut self, size: u32, max_overflow: u32) {
        self.tolerated = self.state.open();
        (self.config.size, self.config.max_overflow) = (size, max_overflow);
        let surplus = self.state.resize(size, max_overflow);
        self.closing.extend(surplus);
        self.pump();
    }

    fn wait_for(&mut self, time: Duration) {
        self.now += time;
        if self.retry_at.is_some_and(|at| self.now >= at) {
            self.retry_at = None;
            self.state.retry_due();
            self.pump();
        }
    }

    fn settle(&mut self, placement: Placement<u32, u32>) {
        let kept = matches!(placement, Placement::Idle | Placement::Serve(..));
        let staying = self.state.open() - self.state.closing;
        let excess = staying > self.state.capacity();
        assert!(!(kept && excess), "kept although there are too many");
        match placement {
            Placement::Idle => {}
            Placement::Serve(caller, issued) => {
                assert_eq!(
                    self.queue.pop_front().map(|(_, first)| first),
                    Some(caller),
                    "served out of turn"
                );
                self.leases.push_back((issued.lease, issued.pooled));
            }
            Placement::Verify(pooled) => self.verifying.push_back(pooled),
            Placement::Close(pooled, _) => self.closing.push_back(pooled),
        }
        self.check();
    }

    fn pump(&mut self) {
        let start = self.state.start_connects(self.now);
        self.connecting += start.connects;
        if let Some(pause) = start.retry_in {
            assert!(self.retry_at.is_none(), "two retries planned");
            self.retry_at = Some(self.now + pause);
        }
        self.check();
        assert!(self.connecting <= self.config.max_connecting);
        let counts = self.state.counts(self.now);
        let hopeless = counts.waiting > 0
            && counts.connecting == 0
            && self.retry_at.is_none()
            && counts.open() < counts.capacity;
        assert!(
            !hopeless,
            "someone waits, there is room, and nobody connects: {counts:?}"
        );
    }

    fn check(&mut self) {
        let counts = self.state.counts(self.now);
        assert_eq!(counts.checked_out as usize, self.leases.len());
        assert_eq!(counts.connecting, self.connecting);
        assert_eq!(
            counts.closing as usize,
            self.verifying.len() + self.closing.len()
        );
        assert_eq!(counts.waiting as usize, self.queue.len());
        assert_eq!(counts.open(), self.state.open());
        self.tolerated = self.tolerated.min(counts.open());
        assert!(
            counts.open() <= counts.capacity.max(self.tolerated),
            "{counts:?}"
        );
        assert!(counts.idle <= counts.pool_size, "{counts:?}");
        assert!(counts.waiting == 0 || counts.idle == 0, "{counts:?}");
        let generation = self.state.generation;
        assert!(
            self.state
                .idle
                .iter()
                .all(|pooled| pooled.generation == generation)
        );
        let leased = self.leases.iter().map(|(_, pooled)| pooled);
        let all = self
            .state
            .idle
            .iter()
            .chain(leased)
            .chain(&self.verifying)
            .chain(&self.closing);
        let numbers = all.map(|pooled| pooled.connection).collect::<Vec<_>>();
        assert_eq!(
            numbers.len(),
            numbers.iter().collect::<BTreeSet<_>>().len(),
            "one twice"
        );
    }

    fn connect_all(&mut self) {
        while self.connecting > 0 {
            self.connect_ends(Ok(()));
        }
    }
}

fn config(size: u32, max_overflow: u32) -> PoolConfig {
    PoolConfig {
        size,
        max_overflow,
        ..PoolConfig::default()
    }
}

fn refused() -> AcquireError {
    AcquireError::Connect(Arc::new(sqlx::Error::WorkerCrashed))
}

fn full() -> AcquireError {
    AcquireError::ServerFull(Arc::new(sqlx::Error::WorkerCrashed))
}

#[test]
fn queue_pool_opens_to_capacity_and_keeps_size() {
    let mut world = World::new(config(2, 1));
    for _ in 0..3 {
        assert!(!world.acquire().unwrap());
        world.connect_all();
    }
    assert_eq!(world.leases.len(), 3);
    assert!(!world.acquire().unwrap(), "the fourth waits");
    assert_eq!(world.connecting, 0, "for there is no room");
    world.give_back(0, Verdict::Clean);
    assert_eq!(
        (world.leases.len(), world.queue.len()),
        (3, 0),
        "the return serves it"
    );

    for _ in 0..3 {
        world.give_back(0, Verdict::Clean);
    }
    let counts = world.state.counts(world.now);
    assert_eq!(
        (counts.idle, counts.closing),
        (2, 1),
        "only what exceeds the size is closed"
    );
    world.close_ends();
    assert_eq!(world.state.open(), 2);
}

#[test]
fn the_order_decides_which_idle_connection_goes_first() {
    for (order, expected) in [(Order::Lifo, 2), (Order::Fifo, 1)] {
        let mut world = World::new(PoolConfig {
            order,
            ..config(2, 0)
        });
        for _ in 0..2 {
            world.acquire().unwrap();
            world.connect_all();
        }
        world.give_back(0, Verdict::Clean);
        world.give_back(0, Verdict::Clean);
        assert!(world.acquire().unwrap());
        assert_eq!(world.leases[0].1.connection, expected, "{order:?}");
    }
}

#[test]
fn a_connect_whose_caller_left_serves_the_next() {
    let mut world = World::new(config(1, 0));
    world.acquire().unwrap();
    world.give_up(0);
    world.connect_all();
    assert_eq!(world.state.counts(world.now).idle, 1);
    assert!(world.acquire().unwrap());
}

#[test]
fn dispose_replaces_within_the_capacity() {
    let mut world = World::new(config(1, 1));
    for _ in 0..2 {
        world.acquire().unwrap();
        world.connect_all();
    }
    world.give_back(0, Verdict::Clean);
    let disposed = world.state.dispose();
    assert_eq!(disposed.len(), 1);
    world.closing.extend(disposed);
    assert!(!world.acquire().unwrap());
    assert_eq!(world.connecting, 0, "the old ones still count");
    world.give_back(0, Verdict::Clean);
    assert_eq!(
        world.closing.len(),
        2,
        "the leased one is closed when it comes back"
    );
    world.close_ends();
    assert_eq!(world.connecting, 1);
    world.connect_all();
    assert_eq!(world.leases.len(), 1);
}

#[test]
fn a_dead_database_tells_everyone_at_once_and_is_not_stormed() {
    let mut world = World::new(config(20, 10));
    for _ in 0..5 {
        world.acquire().unwrap();
    }
    assert_eq!(world.connecting, 2);
    world.connect_ends(Err(refused()));
    world.connect_ends(Err(refused()));
    assert_eq!(world.dismissed, [1, 2, 3, 4, 5]);
    assert!(
        matches!(world.acquire(), Err(AcquireError::Connect(_))),
        "within the pause"
    );
    assert_eq!(world.connecting, 0);
    world.wait_for(Duration::from_millis(101));
    assert!(
        !world.acquire().unwrap(),
        "after the pause someone tries again"
    );
    assert_eq!(world.connecting, 1);
}

#[test]
fn a_full_server_leaves_callers_waiting_for_a_return() {
    let mut world = World::new(config(2, 0));
    world.acquire().unwrap();
    world.connect_all();
    world.acquire().unwrap();
    world.connect_ends(Err(full()));
    assert_eq!(world.dismissed, []);
    world.give_back(0, Verdict::Clean);
    assert_eq!(world.leases.len(), 1);
    assert!(world.state.backoff.contact(world.now).answered.is_some());
}

#[test]
fn failures_make_the_others_suspect() {
    let mut world = World::new(config(2, 0));
    for _ in 0..2 {
        world.acquire().unwrap();
        world.connect_all();
    }
    world.give_back(0, Verdict::Clean);
    let place = Location::caller();
    let suspect = |world: &mut World| {
        let found = world.state.check_out(place, world.now).unwrap();
        let (issued, suspect) = found.issued.unwrap();
        world.leases.push_back((issued.lease, issued.pooled));
        suspect
    };
    assert!(!suspect(&mut world));
    world.give_back(1, Verdict::Clean);
    world.wait_for(Duration::from_millis(1));
    world.give_back(0, Verdict::Unusable(CloseReason::Broken));
    assert!(suspect(&mut world), "another has broken since");
    world.give_back(0, Verdict::Clean);
    assert!(!suspect(&mut world), "it has been used since");
    world.give_back(0, Verdict::Clean);
    world.wait_for(Duration::from_millis(1001));
    assert!(suspect(&mut world), "idle for long");
}

#[test]
fn what_is_too_old_is_closed_instead_of_handed_out() {
    let mut world = World::new(config(1, 0));
    world.acquire().unwrap();
    let expires = Some(world.now + Duration::from_secs(60));
    world.connecting -= 1;
    let placement = world.state.connected(1, 0, expires, world.now);
    world.settle(placement);
    world.give_back(0, Verdict::Clean);
    world.wait_for(Duration::from_secs(60));
    assert!(!world.acquire().unwrap());
    assert_eq!(world.closing.len(), 1);
    world.close_ends();
    assert_eq!(world.connecting, 1);
}

#[test]
fn the_queue_has_an_end_and_a_closed_pool_has_none() {
    let mut world = World::new(PoolConfig {
        max_waiting: 1,
        ..config(1, 0)
    });
    world.acquire().unwrap();
    assert!(matches!(
        world.acquire(),
        Err(AcquireError::QueueFull { limit: 1 })
    ));
    let (told, idle) = world.state.shut();
    assert_eq!((told, idle.len()), (vec![1], 0));
    assert!(matches!(world.acquire(), Err(AcquireError::Closed)));
}

#[derive(Debug, Clone)]
enum Step {
    Acquire,
    GiveUp(usize),
    GiveBack(usize, Verdict),
    ConnectEnds(u8),
    VerifyEnds(bool),
    CloseEnds,
    Dispose,
    CloseIdle(u32),
    Resize(u32, u32),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![
        6 => Just(Verdict::Clean),
        2 => Just(Verdict::Doubtful),
        1 => Just(Verdict::Unusable(CloseReason::Broken)),
    ];
    prop_oneof![
        8 => Just(Step::Acquire),
        2 => (0_usize..4).prop_map(Step::GiveUp),
        6 => ((0_usize..4), verdict).prop_map(|(index, verdict)| Step::GiveBack(index, verdict)),
        6 => (0_u8..6).prop_map(Step::ConnectEnds),
        2 => any::<bool>().prop_map(Step::VerifyEnds),
        4 => Just(Step::CloseEnds),
        1 => Just(Step::Dispose),
        1 => (0_u32..3).prop_map(Step::CloseIdle),
        1 => ((0_u32..4), (1_u32..3)).prop_map(|(size, overflow)| Step::Resize(size, overflow)),
        2 => (0_u64..400).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order, the rules hold after each step, and when all has come to an end the
    /// whole capacity can be had.
    #[test]
    fn the_rules_hold_in_every_order(
        size in 0_u32..4,
        max_overflow in 1_u32..3,
        fifo in any::<bool>(),
        steps in prop::collection::vec(steps(), 1..200),
    ) {
        let order = if fifo { Order::Fifo } else { Order::Lifo };
        let mut world = World::new(PoolConfig { order, ..config(size, max_overflow) });
        for step in steps {
            match step {
                // Refused while the database is away: nothing may have changed.
                Step::Acquire => { let _ = world.acquire(); }
                Step::GiveUp(index) => world.give_up(index),
                Step::GiveBack(index, verdict) => world.give_back(index, verdict),
                Step::ConnectEnds(0) => world.connect_ends(Err(refused())),
                Step::ConnectEnds(1) => world.connect_ends(Err(full())),
                Step::ConnectEnds(_) => world.connect_ends(Ok(())),
                Step::VerifyEnds(well) => world.verify_ends(well),
                Step::CloseEnds => world.close_ends(),
                Step::Dispose => {
                    let disposed = world.state.dispose();
                    world.closing.extend(disposed);
                }
                Step::CloseIdle(keep) => {
                    let surplus = world.state.close_idle(keep);
                    world.closing.extend(surplus);
                }
                Step::Resize(size, max_overflow) => world.resize(size, max_overflow),
                Step::Wait(ms) => world.wait_for(Duration::from_millis(ms)),
            }
            world.check();
        }

        while !(world.leases.is_empty() && world.queue.is_empty() && world.connecting == 0) {
            world.connect_ends(Ok(()));
            world.verify_ends(true);
            world.close_ends();
            world.give_back(0, Verdict::Clean);
            world.wait_for(Duration::from_secs(1));
        }
        while !(world.verifying.is_empty() && world.closing.is_empty()) {
            world.verify_ends(true);
            world.close_ends();
        }
        // Past the pause after a failed connect.
        world.wait_for(Duration::from_secs(1));
        let capacity = world.state.capacity();
        for _ in 0..capacity {
            prop_assert!(world.acquire().is_ok());
            world.connect_all();
        }
        prop_assert_eq!(world.leases.len(), capacity as usize);
    }
}
