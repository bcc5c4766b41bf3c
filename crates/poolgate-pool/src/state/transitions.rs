//! Moves connections from one phase to the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::backoff::Backoff;
use super::roles::Roles;
use super::{
    CheckOut, Held, INITIAL_AT_ONCE, Issued, Opened, Placement, Pooled, Start, State, Upkeep, Verdict, Waiter,
};
use crate::config::Order;
use crate::error::AcquireError;
use crate::lease::Wait;
use crate::observer::CloseReason;
use crate::purpose::Caller;

impl<C, W> State<C, W> {
    /// A caller wants a connection. If none is idle, it must [`wait`](Self::wait), under the same lock.
    pub(crate) fn check_out(&mut self, caller: &Caller, now: Instant) -> Result<CheckOut<C>, AcquireError> {
        if self.closed {
            return Err(AcquireError::Closed);
        }
        let mut found = CheckOut { issued: None, expired: Vec::new() };
        while let Some(pooled) = self.take_idle() {
            if pooled.has_expired(now) {
                self.closing += 1;
                found.expired.push(pooled);
                continue;
            }
            let idle_for = now.saturating_duration_since(pooled.last_used);
            let suspect =
                idle_for > self.pre_ping_idle || self.trusted_since.is_some_and(|since| pooled.last_used < since);
            found.issued = Some((self.issue(pooled, caller.clone(), now), suspect));
            break;
        }
        Ok(found)
    }

    /// A caller joins the queue; the ticket is for [`leave`](Self::leave).
    pub(crate) fn wait(
        &mut self,
        caller: Caller,
        now: Instant,
        reply: impl FnOnce() -> W,
    ) -> Result<u64, AcquireError> {
        if self.closed {
            return Err(AcquireError::Closed);
        }
        // No connection can be returned and no connect is due soon: the wait would end with this error anyway.
        if self.open() == 0
            && self.backoff.remaining(now).is_some()
            && let Some(error) = self.backoff.error()
        {
            return Err(error.clone());
        }
        if self.waiting.len() >= self.max_waiting as usize {
            return Err(AcquireError::QueueFull { limit: self.max_waiting });
        }
        let ticket = self.number();
        self.waiting.insert(ticket, Waiter { reply: reply(), caller });
        Ok(ticket)
    }

    /// A caller leaves the queue; false if it was served already.
    pub(crate) fn leave(&mut self, ticket: u64) -> bool {
        self.waiting.remove(&ticket).is_some()
    }

    /// The connects to start now, for waiting callers or ahead of demand. They count as connecting from now on.
    pub(crate) fn start_connects(&mut self, now: Instant) -> Start {
        let waiting = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        let needed = waiting.saturating_sub(self.connecting);
        let wanted = needed.max(self.wanted_ahead());
        if wanted == 0 || self.closed {
            return Start::default();
        }
        let is_needed = needed > 0;
        let pause = if is_needed { self.backoff.remaining(now) } else { self.backoff.remaining_ahead(now) };
        if let Some(pause) = pause {
            return self.retry_at(now + pause, is_needed);
        }
        // After a failure a single connect must succeed first.
        let at_once = if self.backoff.error().is_some() { 1 } else { self.at_once };
        let startable =
            wanted.min(at_once.saturating_sub(self.connecting)).min(self.capacity().saturating_sub(self.open()));
        let connects = self.pace.take(startable, now);
        if startable > 0 && connects == 0 {
            return self.retry_at(now + self.pace.wait(now), is_needed);
        }
        self.connecting += connects;
        Start { connects, retry_at: None }
    }

    /// The retry that was planned for `at` is due: call [`start_connects`](Self::start_connects) again.
    pub(crate) fn retry_due(&mut self, at: Instant) {
        // The plan may have changed, after new connect options.
        self.retry_needed = self.retry_needed.filter(|planned| *planned != at);
        self.retry_ahead = self.retry_ahead.filter(|planned| *planned != at);
    }

    /// A connect of [`start_connects`](Self::start_connects) has succeeded.
    pub(crate) fn connected(&mut self, opened: Opened<C>, now: Instant) -> Placement<C, W> {
        self.connecting = self.connecting.saturating_sub(1);
        self.at_once = self.at_once.saturating_add(1).min(self.max_connecting);
        self.backoff.succeeded(now);
        let id = self.number();
        let Opened { connection, generation, expires, server_pid, read_only } = opened;
        let pooled = Pooled {
            connection,
            id,
            generation,
            expires,
            opened: now,
            last_used: now,
            server_pid,
            wait: Arc::new(Wait::new(now)),
            read_only,
            used: false,
            renewed: false,
            upkeep: Upkeep::default(),
        };
        self.place(Box::new(pooled), now)
    }

    /// A connect has failed; returns the callers to be given the error: all of them if no connection is left, otherwise the
    /// one that has waited longest. If the server answers and merely refuses, that caller keeps waiting too, as long as
    /// a connection may be returned, including one that is being opened. `options_generation` is that of the connect's
    /// start; failures with outdated options do not count.
    pub(crate) fn connect_failed(
        &mut self,
        error: &AcquireError,
        options_generation: u64,
        now: Instant,
        jitter: f64,
    ) -> Vec<W> {
        self.connecting = self.connecting.saturating_sub(1);
        if options_generation < self.options_generation {
            return Vec::new();
        }
        self.at_once = 1;
        self.backoff.failed(error.clone(), now, jitter);
        if self.open() == 0 {
            return self.dismiss_all();
        }
        let may_return = self.open() > self.closing;
        let hopeful = error.is_answer() && may_return;
        let told = if hopeful { None } else { self.waiting.pop_first() };
        told.map(|(_, waiter)| waiter.reply).into_iter().collect()
    }

    /// A lease has ended. Returns where its connection goes, and who had it; `None` if the lease was reclaimed before.
    pub(crate) fn check_in(
        &mut self,
        lease: u64,
        pooled: Box<Pooled<C>>,
        verdict: Verdict,
        now: Instant,
    ) -> (Placement<C, W>, Option<Caller>) {
        let held = self.held(lease).and_then(|at| self.leases.remove(at));
        let placement = match &held {
            Some(held) if !held.revoked => self.take_back(pooled, verdict, now),
            held => {
                debug_assert!(self.revoked > 0, "lease {lease} ended twice");
                self.revoked = self.revoked.saturating_sub(1);
                match held {
                    Some(_) => self.close(pooled, CloseReason::Revoked),
                    None => Placement::Forget(pooled),
                }
            }
        };
        (placement, held.map(|held| held.caller))
    }

    fn take_back(&mut self, mut pooled: Box<Pooled<C>>, verdict: Verdict, now: Instant) -> Placement<C, W> {
        pooled.last_used = now;
        match verdict {
            Verdict::Clean => self.place(pooled, now),
            Verdict::Doubtful => match self.outdated(&pooled) {
                Some(reason) => self.close(pooled, reason),
                None => {
                    self.verifying += 1;
                    Placement::Verify(pooled)
                }
            },
            Verdict::Unusable(reason) => {
                // Others may have the same problem.
                if matches!(reason, CloseReason::Broken | CloseReason::Silent) {
                    self.trusted_since = Some(now);
                }
                self.close(pooled, reason)
            }
        }
    }

    /// The lease's next use fails, and its connection is closed when it is returned; false if it was returned already.
    pub(crate) fn revoke(&mut self, lease: u64) -> bool {
        let Some(at) = self.held(lease) else { return false };
        if !std::mem::replace(&mut self.leases[at].revoked, true) {
            self.revoked += 1;
        }
        true
    }

    /// The session of a revoked lease has ended on the server: frees its slot; false if there is no such lease.
    pub(crate) fn reclaim(&mut self, lease: u64) -> bool {
        match self.held(lease) {
            Some(at) if self.leases[at].revoked => self.leases.remove(at).is_some(),
            Some(_) | None => false,
        }
    }

    /// The connection of a lease is dead, and its session has ended on the server: frees its slot. Returns the wait to be
    /// ended; `None` if there is no such lease.
    pub(crate) fn lose(&mut self, lease: u64, now: Instant) -> Option<Arc<Wait>> {
        if !self.revoke(lease) {
            return None;
        }
        // Others may have the same problem.
        self.trusted_since = Some(now);
        let held = self.held(lease).and_then(|at| self.leases.remove(at));
        held.map(|held| held.wait)
    }

    /// A doubtful connection has been restored.
    pub(crate) fn verified(&mut self, mut pooled: Box<Pooled<C>>, now: Instant) -> Placement<C, W> {
        self.verifying = self.verifying.saturating_sub(1);
        pooled.last_used = now;
        self.place(pooled, now)
    }

    /// A doubtful connection could not be restored.
    pub(crate) fn verify_failed(&mut self, pooled: Box<Pooled<C>>, now: Instant) -> Placement<C, W> {
        self.verifying = self.verifying.saturating_sub(1);
        self.trusted_since = Some(now);
        self.close(pooled, CloseReason::Dirty)
    }

    /// A connection that answers must not be used again.
    pub(crate) fn verify_rejected(&mut self, pooled: Box<Pooled<C>>, reason: CloseReason) -> Placement<C, W> {
        self.verifying = self.verifying.saturating_sub(1);
        self.close(pooled, reason)
    }

    /// A connection works but cannot be reset, so a new one takes its slot. Replacements are not paced.
    pub(crate) fn replace(&mut self, pooled: Box<Pooled<C>>) -> Placement<C, W> {
        self.pace.give_back();
        self.verify_rejected(pooled, CloseReason::Dirty)
    }

    /// A verification, and its connection, ended with the runtime.
    pub(crate) fn verify_abandoned(&mut self) {
        self.verifying = self.verifying.saturating_sub(1);
    }

    /// A connection is gone; its slot is free.
    pub(crate) fn close_ended(&mut self) {
        self.closing = self.closing.saturating_sub(1);
    }

    /// Starts a new generation. Returns the idle connections, to be closed; all others are closed when they are returned.
    pub(crate) fn dispose(&mut self) -> Vec<Box<Pooled<C>>> {
        self.generation += 1;
        self.close_idle(0)
    }

    /// The connect options have changed: as [`dispose`](Self::dispose), and forgets what is known about the database.
    pub(crate) fn options_changed(&mut self) -> Vec<Box<Pooled<C>>> {
        self.options_generation += 1;
        self.backoff = Backoff::default();
        self.roles = Roles::default();
        self.at_once = INITIAL_AT_ONCE.min(self.max_connecting);
        // A planned retry may be much later than the first pause after a new failure.
        (self.retry_needed, self.retry_ahead) = (None, None);
        self.dispose()
    }

    /// Returns the idle connections beyond `spared`, to be closed, except those that would be opened again.
    pub(crate) fn close_surplus_idle(&mut self, spared: u32) -> Vec<Box<Pooled<C>>> {
        let others = self.open().saturating_sub(self.closing).saturating_sub(self.idle());
        let kept = self.min_open().saturating_sub(others);
        let ready = self.min_idle.min(self.size.saturating_sub(others));
        self.close_idle(spared.max(kept).max(ready))
    }

    /// Returns the idle connections that have reached their age limit, to be closed.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Vec<Box<Pooled<C>>> {
        self.take_idle_if(|pooled| pooled.has_expired(now))
    }

    pub(super) fn take_idle_if(&mut self, unwanted: impl Fn(&Pooled<C>) -> bool) -> Vec<Box<Pooled<C>>> {
        let (taken, kept) =
            std::mem::take(&mut self.idle).into_iter().partition::<VecDeque<_>, _>(|pooled| unwanted(pooled));
        self.idle = kept;
        self.closing += u32::try_from(taken.len()).unwrap_or(u32::MAX);
        taken.into()
    }

    /// Returns the idle connections beyond `keep`, the coldest first, to be closed.
    pub(crate) fn close_idle(&mut self, keep: u32) -> Vec<Box<Pooled<C>>> {
        let surplus = self.idle.len().saturating_sub(keep as usize);
        self.closing += u32::try_from(surplus).unwrap_or(u32::MAX);
        self.idle.drain(..surplus).collect()
    }

    /// Changes the limits; returns the idle connections beyond them, to be closed.
    pub(crate) fn resize(&mut self, size: u32, max_overflow: u32) -> Vec<Box<Pooled<C>>> {
        (self.size, self.max_overflow) = (size, max_overflow);
        self.pace.set_burst(self.capacity());
        let excess = self.open().saturating_sub(self.capacity());
        self.close_idle(self.idle().saturating_sub(excess).min(size))
    }

    /// Sets how many connections are kept open, up to the size.
    pub(crate) fn set_min_connections(&mut self, count: u32) {
        self.min_connections = count;
    }

    /// Whether connections must be opened ahead of demand, now or after a pause.
    pub(crate) fn is_short(&self) -> bool {
        self.min_idle > 0 && self.connecting < self.at_once && !self.closed && self.wanted_ahead() > 0
    }

    /// Connections that should be open ahead of demand and are not.
    pub(crate) fn lacking(&self) -> u32 {
        let open = u32::try_from(self.leases.len()).unwrap_or(u32::MAX).saturating_add(self.idle());
        self.min_idle.max(self.min_connections).min(self.size).saturating_sub(open)
    }

    /// Connects to start ahead of demand.
    fn wanted_ahead(&self) -> u32 {
        let waiting = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        let ready = self.idle().saturating_add(self.connecting + self.verifying);
        let to_be_ready = self.min_idle.saturating_add(waiting).saturating_sub(ready);
        let room = self.size.saturating_sub(self.open());
        to_be_ready.min(room).max(self.min_open().saturating_sub(self.open()))
    }

    fn min_open(&self) -> u32 {
        self.min_connections.min(self.size)
    }

    fn idle(&self) -> u32 {
        u32::try_from(self.idle.len()).unwrap_or(u32::MAX)
    }

    /// Closes the pool; returns the waiting callers to be refused and the idle connections to be closed.
    pub(crate) fn shut(&mut self) -> (Vec<W>, Vec<Box<Pooled<C>>>) {
        self.closed = true;
        (self.dismiss_all(), self.close_idle(0))
    }

    /// Decides where a clean connection goes.
    pub(super) fn place(&mut self, pooled: Box<Pooled<C>>, now: Instant) -> Placement<C, W> {
        if let Some(reason) = self.outdated(&pooled) {
            return self.close(pooled, reason);
        }
        // Under load no connection is ever idle, so none would ever be found too old.
        if pooled.has_expired(now) && !self.waiting.is_empty() {
            return self.close(pooled, CloseReason::Recycled);
        }
        // After a resize there may be too many. Those being closed do not count. This one is in no phase at the moment,
        // hence >= and not >.
        if self.open().saturating_sub(self.closing) >= self.capacity() {
            return self.close(pooled, CloseReason::Surplus);
        }
        if let Some((_, waiter)) = self.waiting.pop_first() {
            let issued = self.issue(pooled, waiter.caller, now);
            return Placement::Serve(waiter.reply, issued);
        }
        if self.idle.len() >= self.size as usize {
            return self.close(pooled, CloseReason::Surplus);
        }
        self.idle.push_back(pooled);
        Placement::Idle
    }

    fn retry_at(&mut self, at: Instant, is_needed: bool) -> Start {
        let planned = if is_needed { &mut self.retry_needed } else { &mut self.retry_ahead };
        let retry_at = planned.is_none().then_some(at);
        *planned = planned.or(Some(at));
        Start { connects: 0, retry_at }
    }

    fn issue(&mut self, pooled: Box<Pooled<C>>, caller: Caller, now: Instant) -> Issued<C> {
        let lease = self.number();
        let location = caller.location;
        let Pooled { id: connection, generation, server_pid, .. } = *pooled;
        let wait = Arc::clone(&pooled.wait);
        let held = Held { lease, since: now, caller, connection, generation, server_pid, wait, revoked: false };
        self.leases.push_back(held);
        Issued { lease, since: now, location, pooled }
    }

    fn take_idle(&mut self) -> Option<Box<Pooled<C>>> {
        match self.order {
            Order::Lifo => self.idle.pop_back(),
            Order::Fifo => self.idle.pop_front(),
        }
    }

    fn outdated(&self, pooled: &Pooled<C>) -> Option<CloseReason> {
        if self.closed {
            Some(CloseReason::PoolClosed)
        } else if pooled.generation < self.generation {
            Some(CloseReason::Disposed)
        } else if pooled.read_only && !self.roles.seeks_primary() {
            Some(CloseReason::ReadOnly)
        } else {
            None
        }
    }

    pub(super) fn close(&mut self, pooled: Box<Pooled<C>>, reason: CloseReason) -> Placement<C, W> {
        self.closing += 1;
        Placement::Close(pooled, reason)
    }

    fn dismiss_all(&mut self) -> Vec<W> {
        std::mem::take(&mut self.waiting).into_values().map(|waiter| waiter.reply).collect()
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}
