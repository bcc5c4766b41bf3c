//! The pool's bookkeeping: which connections exist, who holds them, who waits.
//!
//! Every connection that is open or being opened is in exactly one phase: connecting, idle, leased, verifying or
//! closing. Methods move it from one phase to the next and return what the caller has to do outside the lock. Nothing
//! here waits, opens, closes or reads a clock, so the rules can be tested without a database.
//!
//! Rules kept here: phases add up to at most the capacity (after a shrink, once what is too much has come back and is
//! closed; until then nothing is opened); while someone waits nothing is idle; idle connections
//! are at most `size`; waiters are served in their order; a connection of an old generation is never idle.

mod moves;
mod roles;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::panic::Location;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::config::{Order, PoolConfig};
use crate::counts::{Counts, LeaseInfo};
use crate::error::Diagnosis;
use crate::hooks::ConnectionTimes;
use crate::observer::CloseReason;
use crate::pace::Pace;
use crate::purpose::Taker;

use self::roles::Roles;

/// Waiting callers who are looked at to find holders among them: with more of them a lock would be held for long.
const MOST_COMPARED: usize = 256;

/// A connection with what the pool knows about it. It lives in a box: it is handed from one to the next all the time.
#[derive(Debug)]
pub(crate) struct Pooled<C> {
    pub(crate) connection: C,
    pub(crate) id: u64,
    pub(crate) generation: u64,
    pub(crate) expires: Option<Instant>,
    pub(crate) opened: Instant,
    pub(crate) last_used: Instant,
    pub(crate) server_pid: Option<i32>,
    /// Its server took no writes when it was opened.
    pub(crate) read_only: bool,
    /// Somebody has had it.
    pub(crate) used: bool,
    /// Its prepared statements have been forgotten before, because they did not fit any more.
    pub(crate) renewed: bool,
    /// What is to be done when it is verified.
    pub(crate) upkeep: Upkeep,
}

/// What a connection needs before somebody else gets it, beside a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Upkeep {
    /// Its session is put back to what it was at the start.
    pub(crate) reset: bool,
    /// Its prepared statements are forgotten.
    pub(crate) renew: bool,
    /// Its server is asked whether it has become read-only.
    pub(crate) ask_role: bool,
    /// A transaction may be open.
    pub(crate) unsettled: bool,
}

impl Upkeep {
    pub(crate) fn is_due(self) -> bool {
        self.reset || self.renew || self.ask_role
    }
}

impl<C> Pooled<C> {
    pub(crate) fn has_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    pub(crate) fn times(&self, now: Instant) -> ConnectionTimes {
        let since = |then| now.saturating_duration_since(then);
        ConnectionTimes { age: since(self.opened), idle_for: since(self.last_used) }
    }
}

/// A connection that has just been opened.
#[derive(Debug)]
pub(crate) struct Opened<C> {
    pub(crate) connection: C,
    /// The generation in which it was begun.
    pub(crate) generation: u64,
    pub(crate) expires: Option<Instant>,
    pub(crate) server_pid: Option<i32>,
    /// Its server takes no writes, as far as it was asked.
    pub(crate) read_only: bool,
}

/// Generic over the connection `C` and over what a waiting caller is answered through, `W`.
#[derive(Debug)]
pub(crate) struct State<C, W> {
    size: u32,
    max_overflow: u32,
    max_connecting: u32,
    max_waiting: u32,
    /// Connections to have idle before anyone asks for them.
    min_idle: u32,
    pre_ping_idle: Duration,
    order: Order,

    /// The one used last is at the back.
    idle: VecDeque<Box<Pooled<C>>>,
    /// By lease number, so the first is the oldest. A list: leases end in about the order in which they began, and
    /// taking one needs no allocation.
    leases: VecDeque<Held>,
    /// Revoked leases that have not come back, those whose places were taken back included.
    revoked: u32,
    connecting: u32,
    /// Connections that may be opened at the same time for now.
    at_once: u32,
    verifying: u32,
    closing: u32,
    /// Connections to have open before anyone asks for them.
    keep_open: u32,

    /// By ticket number, so the first has waited longest.
    waiting: BTreeMap<u64, Waiter<W>>,
    generation: u64,
    /// Databases that were left.
    moves: u64,
    /// Connections that were last used before this instant are pinged first: something has failed since.
    trusted_since: Option<Instant>,
    roles: Roles,
    backoff: Backoff,
    pace: Pace,
    /// When connects are asked for again, if that is planned: those that callers wait for, and those ahead of demand.
    retry_needed: Option<Instant>,
    retry_ahead: Option<Instant>,
    closed: bool,
    next_number: u64,
}

#[derive(Debug)]
struct Held {
    lease: u64,
    since: Instant,
    taker: Taker,
    connection: u64,
    generation: u64,
    server_pid: Option<i32>,
    revoked: bool,
}

#[derive(Debug)]
struct Waiter<W> {
    reply: W,
    taker: Taker,
}

/// A connection on its way to a user.
#[derive(Debug)]
pub(crate) struct Issued<C> {
    pub(crate) lease: u64,
    pub(crate) since: Instant,
    pub(crate) place: &'static Location<'static>,
    pub(crate) pooled: Box<Pooled<C>>,
}

/// What [`State::check_out`] found.
#[derive(Debug)]
pub(crate) struct CheckOut<C> {
    /// An idle connection, and whether it must be pinged first.
    pub(crate) issued: Option<(Issued<C>, bool)>,
    /// Connections past their age limit, to be closed.
    pub(crate) expired: Vec<Box<Pooled<C>>>,
}

/// In what condition a connection comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it was handed out.
    Clean,
    /// Perhaps in the middle of something.
    Doubtful,
    /// Of no further use.
    Unusable(CloseReason),
}

/// Where a connection goes next, and what is to be done for that.
#[derive(Debug)]
pub(crate) enum Placement<C, W> {
    /// It is idle now; nothing to do.
    Idle,
    /// Hand it to the caller who has waited longest.
    Serve(W, Issued<C>),
    /// Verify it, then tell [`State::verified`] or [`State::verify_failed`].
    Verify(Box<Pooled<C>>),
    /// Close it, then tell [`State::close_ended`].
    Close(Box<Pooled<C>>, CloseReason),
    /// Drop it: it is none of the pool's any more.
    Forget(Box<Pooled<C>>),
}

/// Connects to be started now, and when to ask again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) connects: u32,
    pub(crate) retry_at: Option<Instant>,
}

/// Connections that are opened at the same time before anything is known about the server.
const AT_ONCE_AT_FIRST: u32 = 4;

impl<C, W> State<C, W> {
    pub(crate) fn new(config: &PoolConfig) -> Self {
        Self {
            size: config.size,
            max_overflow: config.max_overflow,
            max_connecting: config.max_connecting,
            max_waiting: config.max_waiting,
            min_idle: config.min_idle,
            pre_ping_idle: config.pre_ping_idle,
            order: config.order,
            idle: VecDeque::new(),
            leases: VecDeque::new(),
            revoked: 0,
            connecting: 0,
            at_once: AT_ONCE_AT_FIRST.min(config.max_connecting),
            verifying: 0,
            closing: 0,
            keep_open: 0,
            waiting: BTreeMap::new(),
            generation: 0,
            moves: 0,
            trusted_since: None,
            roles: Roles::default(),
            backoff: Backoff::default(),
            pace: Pace::new(config.connect_rate, config.capacity()),
            retry_needed: None,
            retry_ahead: None,
            closed: false,
            next_number: 0,
        }
    }

    pub(crate) fn backoff(&mut self) -> &mut Backoff {
        &mut self.backoff
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn moves(&self) -> u64 {
        self.moves
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Revoked leases that have not come back.
    pub(crate) fn revoked(&self) -> u32 {
        self.revoked
    }

    /// Whether the lease may not be used any more.
    pub(crate) fn is_revoked(&self, lease: u64) -> bool {
        self.held(lease).is_none_or(|at| self.leases[at].revoked)
    }

    fn held(&self, lease: u64) -> Option<usize> {
        self.leases.binary_search_by_key(&lease, |held| held.lease).ok()
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.size.saturating_add(self.max_overflow)
    }

    /// Connections that exist or are about to.
    pub(crate) fn open(&self) -> u32 {
        let listed = u32::try_from(self.idle.len() + self.leases.len()).unwrap_or(u32::MAX);
        listed.saturating_add(self.connecting + self.verifying + self.closing)
    }

    pub(crate) fn counts(&self, now: Instant) -> Counts {
        Counts {
            pool_size: self.size,
            max_overflow: self.max_overflow,
            capacity: self.capacity(),
            checked_out: u32::try_from(self.leases.len()).unwrap_or(u32::MAX),
            idle: u32::try_from(self.idle.len()).unwrap_or(u32::MAX),
            connecting: self.connecting,
            closing: self.closing + self.verifying,
            waiting: u32::try_from(self.waiting.len()).unwrap_or(u32::MAX),
            lacking: self.lacking(),
            generation: self.generation,
            moves: self.moves,
            oldest_checkout: self.leases.front().map(|held| held.age(now)),
        }
    }

    pub(crate) fn leases(&self, now: Instant) -> Vec<LeaseInfo> {
        let info = |held: &Held| LeaseInfo {
            id: held.lease,
            age: held.age(now),
            place: held.taker.place,
            purpose: held.taker.purpose().cloned(),
            connection: held.connection,
            generation: held.generation,
            server_pid: held.server_pid,
            revoked: held.revoked,
        };
        self.leases.iter().map(info).collect()
    }

    /// Why a caller who waited this long, and has left, got nothing.
    pub(crate) fn diagnose(&self, taker: &Taker, waited: Duration, now: Instant) -> Diagnosis {
        let counts = self.counts(now);
        let waits = |held: &&Held| {
            let others = self.waiting.values().take(MOST_COMPARED).map(|waiter| &waiter.taker);
            std::iter::once(taker).chain(others).any(|waiting| waiting.is_same_work(&held.taker))
        };
        let holders_waiting = u32::try_from(self.leases.iter().filter(waits).count()).unwrap_or(u32::MAX);
        let oldest = self.leases.front();
        Diagnosis {
            waited,
            checked_out: counts.checked_out,
            idle: counts.idle,
            connecting: counts.connecting,
            closing: counts.closing,
            waiting: counts.waiting,
            capacity: counts.capacity,
            oldest_lease: oldest.map(|held| (held.age(now), held.taker.place)),
            oldest_purpose: oldest.and_then(|held| held.taker.purpose().cloned()),
            holders_waiting,
            connect_error: self.backoff.contact(now).error,
        }
    }
}

impl Held {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}
