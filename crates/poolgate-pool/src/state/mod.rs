//! The pool's bookkeeping: which connections exist, who holds them, who waits.
//!
//! Every connection is in exactly one phase: connecting, idle, leased, verifying or closing. Methods move it to the next
//! phase and return what is to be done outside the lock. Nothing here waits, does I/O or reads a clock, so the rules can
//! be tested without a database.
//!
//! Rules:
//! - The phases add up to at most the capacity. After a shrink nothing is opened until that holds again.
//! - While a caller waits, no connection is idle. Callers are served first come, first served.
//! - At most `size` connections are idle, and none of an old generation.

mod backoff;
mod pace;
mod roles;
#[cfg(test)]
mod tests;
mod transitions;

use std::collections::{BTreeMap, VecDeque};
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{Order, PoolConfig};
use crate::counts::{Counts, LeaseInfo};
use crate::error::Diagnosis;
use crate::hooks::ConnectionMetadata;
use crate::lease::Wait;
use crate::observer::CloseReason;
use crate::purpose::Caller;

use self::backoff::Backoff;
use self::pace::Pace;
use self::roles::Roles;

/// Number of waiting callers that are compared with the holders; more would hold the lock for long.
const MAX_COMPARED: usize = 256;

/// A connection and what the pool knows about it. Boxed, because it is moved often.
#[derive(Debug)]
pub(crate) struct Pooled<C> {
    pub(crate) connection: C,
    pub(crate) id: u64,
    pub(crate) generation: u64,
    pub(crate) expires: Option<Instant>,
    pub(crate) opened: Instant,
    pub(crate) last_used: Instant,
    pub(crate) server_pid: Option<i32>,
    /// Whether its holder waits for an answer.
    pub(crate) wait: Arc<Wait>,
    /// Its server refused writes when it was opened.
    pub(crate) read_only: bool,
    /// It has had a user.
    pub(crate) used: bool,
    /// Its prepared statements have been discarded before, because they were outdated.
    pub(crate) renewed: bool,
    /// What its next verification must do.
    pub(crate) upkeep: Upkeep,
}

/// What a connection needs before its next user gets it, in addition to a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Upkeep {
    /// Reset its session.
    pub(crate) reset: bool,
    /// Discard its prepared statements.
    pub(crate) discard_statements: bool,
    /// Ask its server whether it has become read-only.
    pub(crate) ask_role: bool,
    /// A transaction may be open.
    pub(crate) end_transaction: bool,
}

impl Upkeep {
    pub(crate) fn is_due(self) -> bool {
        self.reset || self.discard_statements || self.ask_role
    }
}

impl<C> Pooled<C> {
    pub(crate) fn has_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    pub(crate) fn metadata(&self, now: Instant) -> ConnectionMetadata {
        let since = |then| now.saturating_duration_since(then);
        ConnectionMetadata { age: since(self.opened), idle_for: since(self.last_used) }
    }
}

/// A connection that has just been opened.
#[derive(Debug)]
pub(crate) struct Opened<C> {
    pub(crate) connection: C,
    /// The generation that was current when the connect began.
    pub(crate) generation: u64,
    pub(crate) expires: Option<Instant>,
    pub(crate) server_pid: Option<i32>,
    /// Its server refuses writes; false if it was not asked.
    pub(crate) read_only: bool,
}

/// Generic over the connection `C` and the reply channel of a waiting caller, `W`.
#[derive(Debug)]
pub(crate) struct State<C, W> {
    size: u32,
    max_overflow: u32,
    max_connecting: u32,
    max_waiting: u32,
    /// Idle connections to keep ready.
    min_idle: u32,
    pre_ping_idle: Duration,
    order: Order,

    /// The one that was used last is at the back.
    idle: VecDeque<Box<Pooled<C>>>,
    /// By lease number, so the first is the oldest. Leases end in about the order in which they began, so a list is fast,
    /// and adding to it rarely allocates.
    leases: VecDeque<Held>,
    /// Revoked leases that have not been returned, including those that were reclaimed.
    revoked: u32,
    connecting: u32,
    /// Connections that may be opened at the same time at present.
    at_once: u32,
    verifying: u32,
    closing: u32,
    /// Open connections to keep, including those in use.
    min_connections: u32,

    /// By ticket number, so the first has waited longest.
    waiting: BTreeMap<u64, Waiter<W>>,
    generation: u64,
    /// Changes of the connect options.
    options_generation: u64,
    /// Connections that were last used before this instant are pinged first, because another one has failed since.
    trusted_since: Option<Instant>,
    roles: Roles,
    backoff: Backoff,
    pace: Pace,
    /// Planned retries: of connects that callers wait for, and of those ahead of demand.
    retry_needed: Option<Instant>,
    retry_ahead: Option<Instant>,
    closed: bool,
    next_number: u64,
}

#[derive(Debug)]
struct Held {
    lease: u64,
    since: Instant,
    caller: Caller,
    connection: u64,
    generation: u64,
    server_pid: Option<i32>,
    wait: Arc<Wait>,
    revoked: bool,
}

#[derive(Debug)]
struct Waiter<W> {
    reply: W,
    caller: Caller,
}

/// A connection on its way to its next user.
#[derive(Debug)]
pub(crate) struct Issued<C> {
    pub(crate) lease: u64,
    pub(crate) since: Instant,
    pub(crate) location: &'static Location<'static>,
    pub(crate) pooled: Box<Pooled<C>>,
}

/// The result of [`State::check_out`].
#[derive(Debug)]
pub(crate) struct CheckOut<C> {
    /// An idle connection, and whether it must be pinged first.
    pub(crate) issued: Option<(Issued<C>, bool)>,
    /// Connections past their age limit, to be closed.
    pub(crate) expired: Vec<Box<Pooled<C>>>,
}

/// The condition of a returned connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As new.
    Clean,
    /// Perhaps in the middle of a transaction or a query.
    Doubtful,
    /// To be closed.
    Unusable(CloseReason),
}

/// Where a connection goes next, and what the caller of the method must do.
#[derive(Debug)]
pub(crate) enum Placement<C, W> {
    /// It is idle now: do nothing.
    Idle,
    /// Send it to the caller that has waited longest.
    Serve(W, Issued<C>),
    /// Verify it, then call [`State::verified`] or [`State::verify_failed`].
    Verify(Box<Pooled<C>>),
    /// Close it, then call [`State::close_ended`].
    Close(Box<Pooled<C>>, CloseReason),
    /// Drop it: it no longer belongs to the pool.
    Forget(Box<Pooled<C>>),
}

/// Connects to start now, and when to call again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) connects: u32,
    pub(crate) retry_at: Option<Instant>,
}

/// Connections that are opened at the same time at the start.
const INITIAL_AT_ONCE: u32 = 4;

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
            at_once: INITIAL_AT_ONCE.min(config.max_connecting),
            verifying: 0,
            closing: 0,
            min_connections: 0,
            waiting: BTreeMap::new(),
            generation: 0,
            options_generation: 0,
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

    pub(crate) fn options_generation(&self) -> u64 {
        self.options_generation
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Revoked leases that have not been returned.
    pub(crate) fn revoked(&self) -> u32 {
        self.revoked
    }

    /// Whether the lease must no longer be used.
    pub(crate) fn is_revoked(&self, lease: u64) -> bool {
        self.held(lease).is_none_or(|at| self.leases[at].revoked)
    }

    fn held(&self, lease: u64) -> Option<usize> {
        self.leases.binary_search_by_key(&lease, |held| held.lease).ok()
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.size.saturating_add(self.max_overflow)
    }

    /// Connections that exist or are being opened.
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
            options_generation: self.options_generation,
            oldest_checkout: self.leases.front().map(|held| held.age(now)),
        }
    }

    pub(crate) fn leases(&self, now: Instant) -> Vec<LeaseInfo> {
        let info = |held: &Held| LeaseInfo {
            id: held.lease,
            age: held.age(now),
            location: held.caller.location,
            purpose: held.caller.purpose().cloned(),
            connection: held.connection,
            generation: held.generation,
            server_pid: held.server_pid,
            waits: held.wait.lasts(now),
            revoked: held.revoked,
        };
        self.leases.iter().map(info).collect()
    }

    /// Why `caller`, who has left the queue after `waited`, got no connection.
    pub(crate) fn diagnose(&self, caller: &Caller, waited: Duration, now: Instant) -> Diagnosis {
        let counts = self.counts(now);
        let waits = |held: &&Held| {
            let others = self.waiting.values().take(MAX_COMPARED).map(|waiter| &waiter.caller);
            std::iter::once(caller).chain(others).any(|waiting| waiting.is_same_work(&held.caller))
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
            oldest_lease: oldest.map(|held| (held.age(now), held.caller.location)),
            oldest_purpose: oldest.and_then(|held| held.caller.purpose().cloned()),
            holders_waiting,
            connect_error: self.backoff.history(now).error,
        }
    }
}

impl Held {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}
