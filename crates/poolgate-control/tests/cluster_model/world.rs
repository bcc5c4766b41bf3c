//! The world of the model: events in virtual time, a store, a database, and what goes wrong.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};

use poolgate_control::cluster::{Census, Exchange, Ledger, Mode, ReplicaId, Row, Seen, Settings};
use poolgate_types::rng::Rng;

use crate::process::Process;

/// Time with faults, and then without.
const TROUBLE: Duration = Duration::from_secs(200);
const CALM: Duration = Duration::from_secs(75);
/// Time between two exchanges and between two looks, and limit of an exchange, by the process's clock.
const PERIOD: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(2);

/// Rates of the clocks.
const SLOWEST_CLOCK: f64 = 0.8;
const FASTEST_CLOCK: f64 = 1.2;

/// What is different from the ordinary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// More processes than `max_replicas` live at the same time.
    pub(crate) more_processes: bool,
}

impl Plan {
    /// As the cluster's documentation assumes.
    pub(crate) const AS_PROMISED: Self = Self { more_processes: false };
}

enum Event {
    /// A process begins an exchange.
    Exchange(ReplicaId),
    /// It reaches the store, which reads.
    Arrive(ReplicaId, u64, Box<Exchange>),
    /// The store writes, and answers what it has read.
    Commit(ReplicaId, u64, Box<Exchange>, Seen),
    /// The answer reaches the process.
    Answer(ReplicaId, u64, Seen),
    /// The process gives up waiting for the answer.
    GiveUp(ReplicaId, u64),
    /// A process asks the database for its list.
    Look(ReplicaId),
    /// The list reaches the process, with the time at which it asked.
    Looked(ReplicaId, Census, Duration),
    /// The pool works.
    Work(ReplicaId),
    /// A connect reaches the database.
    Connect(ReplicaId, u64),
    /// A process that was paused continues.
    Resume(ReplicaId),
    /// A process reaches store and database again.
    Heal(ReplicaId),
    /// The store answers again.
    StoreBack,
    /// The connections of a crashed process end.
    Bury(ReplicaId),
    /// Something goes wrong.
    Fault,
    /// Nothing goes wrong any more.
    Calm,
}

struct Scheduled(Duration, u64, Event);

pub(crate) struct World {
    seed: u64,
    plan: Plan,
    rng: Rng,
    settings: Settings,
    now: Duration,
    events: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    processes: BTreeMap<ReplicaId, Process>,
    /// What waits for paused processes.
    waiting: BTreeMap<ReplicaId, Vec<Event>>,
    rows: BTreeMap<ReplicaId, Row>,
    ledger: Option<Ledger>,
    store_works: bool,
    /// Connections of pools, also of processes that have crashed.
    connections: BTreeMap<ReplicaId, u32>,
    /// Connections outside the pools, on which processes look.
    kept: BTreeSet<ReplicaId>,
    /// Mean time between two faults.
    between_faults: f64,
    calm: bool,
    log: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64, plan: Plan) -> Self {
        let mut rng = Rng::new(seed);
        let max_replicas = 2 + rng.below(7) as u32;
        let budget = max_replicas + rng.below(100) as u32;
        let settings = Settings { budget, max_replicas, ttl: Duration::from_secs(10) };
        let between_faults = match rng.below(3) {
            0 => 2.0,
            1 => 6.0,
            _ => 20.0,
        };
        let mut world = Self {
            seed,
            plan,
            rng,
            settings,
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            scheduled: 0,
            processes: BTreeMap::new(),
            waiting: BTreeMap::new(),
            rows: BTreeMap::new(),
            ledger: None,
            store_works: true,
            connections: BTreeMap::new(),
            kept: BTreeSet::new(),
            between_faults,
            calm: false,
            log: Vec::new(),
        };
        for _ in 0..1 + world.rng.below(u64::from(max_replicas)) {
            world.start();
        }
        world.after(Duration::from_secs(20), Event::Fault);
        world.after(TROUBLE, Event::Calm);
        world
    }

    /// Runs to the end; an error is a violation, with the faults that led to it.
    pub(crate) fn run(mut self) -> Result<(), String> {
        while let Some(Reverse(Scheduled(at, _, event))) = self.events.pop() {
            if at > TROUBLE + CALM {
                break;
            }
            self.now = at;
            self.happen(event);
            let open: u32 = self.connections.values().sum();
            if open > self.settings.budget {
                return Err(self.violation(&format!("{open} connections: {:?}", self.connections)));
            }
        }
        self.check_shares()
    }

    fn violation(&self, what: &str) -> String {
        format!(
            "seed {} at {:?}, {:?}: {what}\nledger {:?}\n{}",
            self.seed,
            self.now,
            self.settings,
            self.ledger,
            self.log.join("\n")
        )
    }

    /// After the calm, nearly the whole budget must be granted, and no replica be in static mode.
    fn check_shares(&mut self) -> Result<(), String> {
        if self.processes.is_empty() || self.plan.more_processes {
            return Ok(());
        }
        let now = self.now;
        let views: Vec<_> = self.processes.values_mut().map(|process| process.replica.view(process.now(now))).collect();
        let granted: u32 = views.iter().map(|view| view.limit).sum();
        let coming = self.settings.max_replicas - views.len() as u32;
        let is_shared = views.iter().all(|view| view.mode == Mode::Shared);
        if !is_shared || f64::from(granted) < 0.95 * f64::from(self.settings.budget - coming) {
            return Err(self.violation(&format!("granted {granted} after the calm: {views:?}")));
        }
        Ok(())
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse(Scheduled(self.now + delay, self.scheduled, event)));
    }

    /// Schedules for a process, whose clock measures the delay.
    fn after_local(&mut self, id: ReplicaId, delay: Duration, event: Event) {
        let Some(process) = self.processes.get(&id) else { return };
        let delay = process.real(delay);
        self.after(delay, event);
    }

    fn random(&mut self, low: f64, high: f64) -> Duration {
        Duration::from_secs_f64(self.rng.between(low, high))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(id, exchange, write) => self.arrive(id, exchange, write),
            Event::Commit(id, exchange, write, seen) => self.commit(id, exchange, &write, seen),
            Event::Resume(id) => self.resume(id),
            Event::Heal(id) => self.heal(id),
            Event::StoreBack => self.store_works = true,
            Event::Bury(id) => drop(self.connections.remove(&id)),
            Event::Fault => self.fault(),
            Event::Calm => self.end_trouble(),
            Event::Exchange(id)
            | Event::Answer(id, ..)
            | Event::GiveUp(id, _)
            | Event::Look(id)
            | Event::Looked(id, ..)
            | Event::Work(id)
            | Event::Connect(id, _) => match self.processes.get(&id) {
                Some(process) if process.paused => self.waiting.entry(id).or_default().push(event),
                Some(_) => self.happen_to(id, event),
                None => {}
            },
        }
    }

    fn happen_to(&mut self, id: ReplicaId, event: Event) {
        match event {
            Event::Exchange(_) => self.exchange(id),
            Event::Answer(_, exchange, seen) => self.end_exchange(id, exchange, Some(seen)),
            Event::GiveUp(_, exchange) => self.end_exchange(id, exchange, None),
            Event::Look(_) => self.look(id),
            Event::Looked(_, census, asked) => self.looked(id, census, asked),
            Event::Work(_) => self.work(id),
            Event::Connect(_, number) => self.connect(id, number),
            _ => {}
        }
    }

    fn start(&mut self) {
        let id = ReplicaId(self.rng.next_u64() as u32);
        let rate = self.rng.between(SLOWEST_CLOCK, FASTEST_CLOCK);
        let process = Process::new(id, self.settings, self.now, rate, &mut self.rng);
        self.log.push(format!("{:?} start {id} at rate {rate:.2}", self.now));
        self.processes.insert(id, process);
        self.after(Duration::ZERO, Event::Exchange(id));
        self.after(Duration::from_millis(50), Event::Look(id));
        self.after(Duration::from_millis(300), Event::Work(id));
    }

    fn exchange(&mut self, id: ReplicaId) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&id) else { return };
        let write = Box::new(process.begin(now));
        let (exchange, reaches) = (process.exchange, process.reaches_store);
        if reaches {
            // Some messages arrive when the answer is no longer waited for.
            let latest = if !self.calm && self.rng.below(30) == 0 { 6.0 } else { 0.2 };
            let delay = self.random(0.001, latest);
            self.after(delay, Event::Arrive(id, exchange, write));
        }
        self.after_local(id, PATIENCE, Event::GiveUp(id, exchange));
    }

    /// The store reads, and writes a little later, as PostgreSQL does in one statement.
    fn arrive(&mut self, id: ReplicaId, exchange: u64, write: Box<Exchange>) {
        if self.store_works {
            let seen = Seen { rows: self.rows.values().cloned().collect(), ledger: self.ledger.clone(), config: None };
            let delay = self.random(0.0, 0.1);
            self.after(delay, Event::Commit(id, exchange, write, seen));
        }
    }

    fn commit(&mut self, id: ReplicaId, exchange: u64, write: &Exchange, seen: Seen) {
        let row = &write.row;
        if self.rows.get(&row.id).is_none_or(|known| known.seq < row.seq) {
            self.rows.insert(row.id, row.clone());
        }
        let present = self.ledger.as_ref().map_or(0, |ledger| ledger.revision);
        if let Some(ledger) = &write.ledger
            && (if write.is_first { present == 0 } else { present + 1 == ledger.revision })
        {
            self.ledger = Some(ledger.clone());
        }
        let is_lost = !self.calm && self.rng.below(20) == 0;
        if !is_lost && self.processes.get(&id).is_some_and(|process| process.reaches_store) {
            let delay = self.random(0.001, 0.2);
            self.after(delay, Event::Answer(id, exchange, seen));
        }
    }

    fn end_exchange(&mut self, id: ReplicaId, exchange: u64, seen: Option<Seen>) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&id) else { return };
        if process.exchange != exchange {
            return;
        }
        // What comes later is about this exchange, too, and not awaited.
        process.exchange += 1;
        let was_heard = seen.is_some();
        process.end(seen, now);
        if process.left && was_heard {
            self.log.push(format!("{now:?} {id} has left"));
            self.processes.remove(&id);
            self.connections.remove(&id);
            self.kept.remove(&id);
            return;
        }
        let jitter = self.random(0.8, 1.2).mul_f64(PERIOD.as_secs_f64());
        self.after_local(id, jitter, Event::Exchange(id));
    }

    fn look(&mut self, id: ReplicaId) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&id) else { return };
        let asked = process.now(now);
        if process.reaches_database && !process.left {
            self.kept.insert(id);
            let mut census: Census =
                self.connections.iter().filter(|(_, open)| **open > 0).map(|(id, open)| (*id, *open)).collect();
            for id in &self.kept {
                *census.entry(*id).or_default() += 1;
            }
            let delay = self.random(0.001, 0.3);
            self.after(delay, Event::Looked(id, census, asked));
        }
        self.after_local(id, LOOK, Event::Look(id));
    }

    fn looked(&mut self, id: ReplicaId, census: Census, asked: Duration) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&id) else { return };
        if process.reaches_database {
            process.report();
            process.replica.look(census, asked, process.now(now));
        }
    }

    fn work(&mut self, id: ReplicaId) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&id) else { return };
        if process.reaches_database && self.rng.below(2) == 0 {
            // It finds out which connections are broken.
            process.open = self.connections.get(&id).copied().unwrap_or(0);
        }
        let (connects, closed) = process.work(now, &mut self.rng);
        if let Some(open) = self.connections.get_mut(&id) {
            *open = open.saturating_sub(closed);
        }
        for number in connects {
            let latest = if self.rng.below(40) == 0 { 7.0 } else { 0.3 };
            let delay = self.random(0.001, latest);
            self.after(delay, Event::Connect(id, number));
        }
        self.after_local(id, Duration::from_millis(400), Event::Work(id));
    }

    fn connect(&mut self, id: ReplicaId, number: u64) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&id) else { return };
        if process.connected(number, now) {
            *self.connections.entry(id).or_default() += 1;
        }
    }

    fn fault(&mut self) {
        if self.calm {
            return;
        }
        let pause = -self.between_faults * (1.0 - self.rng.unit()).ln();
        self.after(Duration::from_secs_f64(pause), Event::Fault);
        let most = self.settings.max_replicas as usize * if self.plan.more_processes { 2 } else { 1 };
        let chosen = self.rng.below(self.processes.len() as u64) as usize;
        let chosen = self.processes.keys().nth(chosen).copied();
        let long = if self.rng.below(4) == 0 { 150.0 } else { 30.0 };
        let duration = self.random(0.5, long);
        match (self.rng.below(12), chosen) {
            (0..=3, _) if self.living() < most => self.start(),
            (4, Some(id)) => self.crash(id),
            (5, Some(id)) => self.change(id, "leaves", |process| process.leaving = true),
            (6, Some(id)) => {
                self.change(id, "is paused", |process| process.paused = true);
                self.after(duration, Event::Resume(id));
            }
            (7 | 8, Some(id)) => {
                self.change(id, "is cut off from the store", |process| process.reaches_store = false);
                self.after(duration, Event::Heal(id));
            }
            (9, Some(id)) => {
                self.change(id, "is cut off from the database", |process| process.reaches_database = false);
                self.kept.remove(&id);
                // The server notices at once, or not before the end.
                if self.rng.below(2) == 0 {
                    self.connections.remove(&id);
                }
                self.after(duration, Event::Heal(id));
            }
            (10, _) => self.trouble_the_store(duration),
            (11, _) if self.rng.below(3) == 0 => {
                self.log.push(format!("{:?} the database restarts", self.now));
                self.connections.clear();
                self.kept.clear();
            }
            _ => {}
        }
    }

    /// Processes that live, or whose connections the database still has.
    fn living(&self) -> usize {
        let crashed = self.connections.keys().filter(|id| !self.processes.contains_key(id)).count();
        self.processes.len() + crashed
    }

    fn trouble_the_store(&mut self, duration: Duration) {
        if self.rng.below(3) == 0 {
            self.log.push(format!("{:?} the store is emptied", self.now));
            self.rows.clear();
            self.ledger = None;
        } else {
            self.log.push(format!("{:?} the store is silent for {duration:?}", self.now));
            self.store_works = false;
            self.after(duration, Event::StoreBack);
        }
    }

    fn change(&mut self, id: ReplicaId, what: &str, change: impl FnOnce(&mut Process)) {
        self.log.push(format!("{:?} {id} {what}", self.now));
        self.processes.get_mut(&id).map(change);
    }

    fn crash(&mut self, id: ReplicaId) {
        self.log.push(format!("{:?} {id} crashes", self.now));
        self.processes.remove(&id);
        self.waiting.remove(&id);
        self.kept.remove(&id);
        // A crash of the host leaves its connections open until the server notices.
        let lasts = if self.rng.below(2) == 0 { Duration::ZERO } else { self.random(0.0, 40.0) };
        self.after(lasts, Event::Bury(id));
    }

    fn resume(&mut self, id: ReplicaId) {
        let Some(process) = self.processes.get_mut(&id).filter(|process| process.paused) else { return };
        process.paused = false;
        self.log.push(format!("{:?} {id} continues", self.now));
        for event in self.waiting.remove(&id).unwrap_or_default() {
            self.happen_to(id, event);
        }
    }

    fn heal(&mut self, id: ReplicaId) {
        let open = self.connections.get(&id).copied().unwrap_or(0);
        self.change(id, "is reached again", |process| {
            if !process.reaches_database {
                // Connections that the server has not closed go on.
                process.open = open;
            }
            (process.reaches_store, process.reaches_database) = (true, true);
        });
    }

    fn end_trouble(&mut self) {
        self.calm = true;
        self.store_works = true;
        let all: Vec<_> = self.processes.keys().copied().collect();
        for id in all {
            self.resume(id);
            self.heal(id);
        }
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}
