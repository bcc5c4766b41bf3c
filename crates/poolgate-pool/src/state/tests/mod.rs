//! The rules without a database: connections and callers are numbers, and time is virtual.

mod concurrency;
mod model;
mod queue_pool;
mod scenarios;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::error::AcquireError;
use crate::purpose::Caller;

/// Acts as the callers, the tasks and the clock, and checks the rules after every step.
struct World {
    state: State<u32, u32>,
    now: Instant,
    config: PoolConfig,
    leases: VecDeque<(u64, Box<Pooled<u32>>)>,
    /// Still held, but no longer part of the pool.
    reclaimed: VecDeque<(u64, Box<Pooled<u32>>)>,
    connecting: u32,
    verifying: VecDeque<Box<Pooled<u32>>>,
    closing: VecDeque<Box<Pooled<u32>>>,
    queue: VecDeque<(u64, u32)>,
    dismissed: Vec<u32>,
    /// The earliest is last.
    retries: Vec<Instant>,
    opened: u32,
    callers: u32,
    /// Connections that may be open beyond the capacity after a resize.
    tolerated: u32,
}

impl World {
    fn new(config: PoolConfig) -> Self {
        Self {
            state: State::new(&config),
            now: Instant::now(),
            config,
            leases: VecDeque::new(),
            reclaimed: VecDeque::new(),
            connecting: 0,
            verifying: VecDeque::new(),
            closing: VecDeque::new(),
            queue: VecDeque::new(),
            dismissed: Vec::new(),
            retries: Vec::new(),
            opened: 0,
            callers: 0,
            tolerated: 0,
        }
    }

    /// A caller acquires; returns whether it is served at once.
    fn acquire(&mut self) -> Result<bool, AcquireError> {
        self.callers += 1;
        let caller = self.callers;
        let asking = Caller::current();
        let found = self.state.check_out(&asking, self.now)?;
        self.closing.extend(found.expired);
        if let Some((issued, _)) = found.issued {
            self.leases.push_back((issued.lease, issued.pooled));
            self.check();
            return Ok(true);
        }
        let ticket = self.state.wait(asking, self.now, || caller)?;
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
            let (placement, _) = self.state.check_in(lease, pooled, verdict, self.now);
            self.settle(placement);
        }
    }

    fn revoke(&mut self, index: usize) {
        if let Some((lease, _)) = self.leases.get(index) {
            assert!(self.state.revoke(*lease) && self.state.is_revoked(*lease));
        }
    }

    fn reclaim(&mut self, index: usize) {
        let Some((lease, _)) = self.leases.get(index) else { return };
        let revoked = self.state.is_revoked(*lease);
        assert_eq!(self.state.reclaim(*lease), revoked);
        if revoked {
            self.reclaimed.extend(self.leases.remove(index));
            self.pump();
        }
    }

    fn lose(&mut self, index: usize) {
        let Some((lease, pooled)) = self.leases.remove(index) else { return };
        let wait = self.state.lose(lease, self.now).expect("it is held");
        assert!(Arc::ptr_eq(&wait, &pooled.wait));
        assert!(self.state.lose(lease, self.now).is_none(), "once");
        self.reclaimed.push_back((lease, pooled));
        self.pump();
    }

    fn come_back_late(&mut self) {
        if let Some((lease, pooled)) = self.reclaimed.pop_front() {
            let ended = self.state.check_in(lease, pooled, Verdict::Clean, self.now);
            assert!(matches!(ended, (Placement::Forget(_), None)));
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
                let placement = self.state.connected(opened(self.opened, generation, None), self.now);
                self.settle(placement);
            }
            Err(error) => {
                let options_generation = self.state.options_generation();
                for caller in self.state.connect_failed(&error, options_generation, self.now, 0.0) {
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
                false => self.state.verify_failed(pooled, self.now),
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
        while let Some(at) = self.retries.pop_if(|at| self.now >= *at) {
            self.state.retry_due(at);
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
                assert_eq!(self.queue.pop_front().map(|(_, first)| first), Some(caller), "served out of turn");
                self.leases.push_back((issued.lease, issued.pooled));
            }
            Placement::Verify(pooled) => self.verifying.push_back(pooled),
            Placement::Close(pooled, _) => self.closing.push_back(pooled),
            Placement::Forget(_) => {}
        }
        self.check();
    }

    fn pump(&mut self) {
        let start = self.state.start_connects(self.now);
        self.connecting += start.connects;
        if let Some(at) = start.retry_at {
            self.retries.push(at);
            self.retries.sort_by(|one, other| other.cmp(one));
            assert!(self.retries.len() <= 2, "one for those who wait, one ahead of demand: {:?}", self.retries);
        }
        self.check();
        assert!(self.connecting <= self.config.max_connecting);
        let counts = self.state.counts(self.now);
        let late = self.state.lacking() > counts.connecting + counts.closing
            && counts.connecting == 0
            && self.retries.is_empty()
            && !self.state.is_closed();
        assert!(!late, "connections are lacking and there is room, but none is being opened: {counts:?}");
        let hopeless =
            counts.waiting > 0 && counts.connecting == 0 && self.retries.is_empty() && counts.open() < counts.capacity;
        assert!(!hopeless, "a caller waits and there is room, but no connection is being opened: {counts:?}");
    }

    fn check(&mut self) {
        let counts = self.state.counts(self.now);
        assert_eq!(counts.checked_out as usize, self.leases.len());
        assert_eq!(counts.connecting, self.connecting);
        assert_eq!(counts.closing as usize, self.verifying.len() + self.closing.len());
        assert_eq!(counts.waiting as usize, self.queue.len());
        assert_eq!(counts.open(), self.state.open());
        self.tolerated = self.tolerated.min(counts.open());
        assert!(counts.open() <= counts.capacity.max(self.tolerated), "{counts:?}");
        assert!(counts.idle <= counts.pool_size, "{counts:?}");
        assert!(counts.waiting == 0 || counts.idle == 0, "{counts:?}");
        let generation = self.state.generation;
        assert!(self.state.idle.iter().all(|pooled| pooled.generation == generation));
        let leased = self.leases.iter().map(|(_, pooled)| pooled);
        let all = self.state.idle.iter().chain(leased).chain(&self.verifying).chain(&self.closing);
        let numbers = all.map(|pooled| pooled.connection).collect::<Vec<_>>();
        assert_eq!(numbers.len(), numbers.iter().collect::<BTreeSet<_>>().len(), "one twice");
    }

    fn connect_all(&mut self) {
        while self.connecting > 0 {
            self.connect_ends(Ok(()));
        }
    }
}

fn opened(connection: u32, generation: u64, expires: Option<Instant>) -> Opened<u32> {
    Opened { connection, generation, expires, server_pid: None, read_only: false }
}

fn config(size: u32, max_overflow: u32) -> PoolConfig {
    PoolConfig { size, max_overflow, connect_rate: 10_000, ..PoolConfig::default() }
}

fn refused() -> AcquireError {
    AcquireError::Connect(Arc::new(sqlx::Error::WorkerCrashed))
}

fn full() -> AcquireError {
    AcquireError::ServerFull(Arc::new(sqlx::Error::WorkerCrashed))
}
