//! One cleanup, step by step: from looking, which is safe, to ending sessions, which is opted in.
//!
//! Closing idle connections frees none that is in use; it only helps other users of the database server. A connection
//! in use becomes free when what holds it is ended, which depends on the cause: the holder of a lease with an idle
//! session has forgotten it; a statement that runs for minutes is stuck; an idle transaction was left open. Work that
//! waits for a lock is a victim and is left alone.

use std::time::{Duration, Instant};

use poolgate_pool::{LeaseInfo, Purpose};
use tokio::time;

use super::{
    schedule::{CALM_PERCENT, Reach},
    server::{Found, Server},
    sessions::Session,
};
use crate::{
    settings::CleanupSettings,
    watched::{Upkeep, WatchedPool},
};

/// Leases that one cleanup names in the log.
const NAMED_LEASES: usize = 20;
/// Leases, statements and sessions that one cleanup ends at most, so that a mistaken cleanup does little harm.
const MOST_ENDED: usize = 2;
/// Time for holders to return connections whose work was ended.
const GRACE: Duration = Duration::from_secs(1);
const GRACE_STEP: Duration = Duration::from_millis(20);

/// What one cleanup did.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) idle_closed: u32,
    pub(super) leases_flagged: u32,
    pub(super) revoked: u32,
    pub(super) cancelled: u32,
    pub(super) terminated: u32,
    pub(super) freed: u32,
    pub(super) skipped: Vec<String>,
    /// Leases whose work was ended.
    ended: Vec<u64>,
}

/// One cleanup.
pub(super) struct CleanupRun<'a> {
    pub(super) pool: &'a dyn WatchedPool,
    /// What can be done about the pool's connections.
    pub(super) upkeep: &'a dyn Upkeep,
    pub(super) settings: &'a CleanupSettings,
    pub(super) reach: Reach,
    /// It was not asked for, so it stops as soon as the pool's usage is calm.
    pub(super) automatic: bool,
}

/// A step that ends something.
#[derive(Clone, Copy)]
enum Step {
    /// Leases that their holders have forgotten: marks them, ends their idle sessions, takes their places back.
    Revoke,
    /// Statements that run too long.
    Cancel,
    /// Sessions that are idle in a transaction.
    Terminate,
}

impl CleanupRun<'_> {
    pub(super) async fn run(&self) -> Outcome {
        let mut outcome = Outcome { idle_closed: self.upkeep.close_surplus_idle(), ..Outcome::default() };
        let (leases, seen) = (self.upkeep.leases(), Instant::now());
        let old: Vec<&LeaseInfo> = leases.iter().filter(|lease| lease.age > self.settings.leak_threshold).collect();
        outcome.leases_flagged = u32::try_from(old.len()).unwrap_or(u32::MAX);
        let mut server = Server::look(self.pool, &leases, seen, self.of_interest()).await;
        for lease in old.iter().take(NAMED_LEASES) {
            name(lease, server.as_ref().ok().and_then(|server| server.session_of(lease).ours()));
        }
        for step in [Step::Revoke, Step::Cancel, Step::Terminate] {
            match self.may(step) {
                Ok(after) => match &mut server {
                    Ok(server) => self.take(step, after, &leases, server, &mut outcome).await,
                    Err(why) => outcome.skip(step, why),
                },
                Err(why) => outcome.skip(step, &why),
            }
        }
        if let Ok(server) = server {
            server.close().await;
        }
        self.dispose(&mut outcome);
        outcome.freed = self.count_freed(&outcome.ended).await;
        outcome
    }

    /// Leases younger than this need no look at their sessions.
    fn of_interest(&self) -> Duration {
        let CleanupSettings { leak_threshold, revoke_after, cancel_after, terminate_after, .. } = *self.settings;
        leak_threshold.min(revoke_after).min(cancel_after).min(terminate_after)
    }

    /// Comes last, because it ends the generation of connections that was looked at.
    fn dispose(&self, outcome: &mut Outcome) {
        let why = match (self.settings.dispose, self.automatic, self.reach) {
            (false, _, _) => "not enabled (cleanup.dispose)",
            // Replacing all connections of a busy pool frees none.
            (true, true, _) => "never by itself",
            (true, false, Reach::Safe) => "needs the admin token",
            (true, false, Reach::OptedIn) => {
                outcome.idle_closed += self.upkeep.dispose();
                return;
            }
        };
        outcome.skipped.push(format!("dispose: {why}"));
    }

    /// The age from which on the step is taken, or why it is not.
    fn may(&self, step: Step) -> Result<Duration, String> {
        let settings = self.settings;
        let (enabled, after) = match step {
            Step::Revoke => (settings.revoke, settings.revoke_after),
            Step::Cancel => (settings.cancel, settings.cancel_after),
            Step::Terminate => (settings.terminate, settings.terminate_after),
        };
        if !enabled {
            return Err(format!("not enabled (cleanup.{})", step.name()));
        }
        if self.reach == Reach::Safe {
            return Err("needs the admin token".to_owned());
        }
        let usage = self.usage_percent();
        if self.automatic && usage < CALM_PERCENT {
            return Err(format!("usage is down to {usage:.0} %"));
        }
        Ok(after)
    }

    fn usage_percent(&self) -> f64 {
        let counts = self.upkeep.counts();
        100.0 * f64::from(counts.checked_out) / f64::from(counts.capacity.max(1))
    }

    async fn take(
        &self,
        step: Step,
        after: Duration,
        leases: &[LeaseInfo],
        server: &mut Server,
        outcome: &mut Outcome,
    ) {
        let before = outcome.ended.len();
        for lease in leases.iter().filter(|lease| lease.age >= after) {
            if outcome.ended.len() == MOST_ENDED {
                return outcome.skip(step, "2 are ended at once, the others are left for the next run");
            }
            if let Err(why) = self.end(step, after, lease, server, outcome).await {
                return outcome.skip(step, &why);
            }
        }
        if outcome.ended.len() == before {
            outcome.skip(step, &format!("nothing of ours that it is for, for {} s", after.as_secs()));
        }
    }

    /// Ends what holds the lease, if the step applies.
    async fn end(
        &self,
        step: Step,
        after: Duration,
        lease: &LeaseInfo,
        server: &mut Server,
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        let session = match (server.session_of(lease), step) {
            (Found::Ours(session), _) => session.clone(),
            // The session has ended; only the place is still taken.
            (Found::Ended, Step::Revoke) => {
                if self.upkeep.revoke(lease.id) && self.upkeep.reclaim(lease.id) {
                    outcome.count(step, lease, None);
                }
                return Ok(());
            }
            // Only the lease's age is known, so only its holder is told.
            (Found::Unknown, Step::Revoke) => {
                if !lease.revoked && self.upkeep.revoke(lease.id) {
                    outcome.count(step, lease, None);
                }
                return Ok(());
            }
            (Found::Ended | Found::Unknown | Found::Foreign, _) => return Ok(()),
        };
        match step {
            Step::Revoke => {
                // Marked first, so that the session stays this lease's until it is closed.
                if session.idles().is_none_or(|idle| idle < after) || !self.upkeep.revoke(lease.id) {
                    return Ok(());
                }
                outcome.count(step, lease, Some(&session));
                let goes_on = |why: &str| format!("the session of lease {} goes on: {why}", lease.id);
                match server.terminate(&session).await {
                    Ok(true) => {
                        self.upkeep.reclaim(lease.id);
                    }
                    Ok(false) => outcome.skip(step, &goes_on("it did not end within a second")),
                    Err(why) => return Err(goes_on(&why)),
                }
            }
            Step::Cancel => {
                let stuck = !session.waits_for_lock && session.works().is_some_and(|time| time >= after);
                if stuck && server.cancel(&session).await? {
                    outcome.count(step, lease, Some(&session));
                }
            }
            Step::Terminate => {
                let left_open = session.idles_in_transaction().is_some_and(|idle| idle >= after);
                if left_open && server.terminate(&session).await? {
                    outcome.count(step, lease, Some(&session));
                    if self.upkeep.revoke(lease.id) {
                        self.upkeep.reclaim(lease.id);
                    }
                }
            }
        }
        Ok(())
    }

    /// Counts the ended leases that are returned, or whose places are.
    async fn count_freed(&self, ended: &[u64]) -> u32 {
        let deadline = Instant::now() + GRACE;
        loop {
            let held = self.upkeep.leases();
            let freed = ended.iter().filter(|id| held.iter().all(|lease| lease.id != **id)).count();
            if freed == ended.len() || Instant::now() >= deadline {
                return u32::try_from(freed).unwrap_or(u32::MAX);
            }
            time::sleep(GRACE_STEP).await;
        }
    }
}

impl Outcome {
    /// A cleanup that could do nothing.
    pub(super) fn skipped(why: &str) -> Self {
        Self { skipped: vec![why.to_owned()], ..Self::default() }
    }

    /// Counts a lease whose work was ended. `session` is the session that served it, if known.
    fn count(&mut self, step: Step, lease: &LeaseInfo, session: Option<&Session>) {
        match step {
            Step::Revoke => self.revoked += 1,
            Step::Cancel => self.cancelled += 1,
            Step::Terminate => self.terminated += 1,
        }
        self.ended.push(lease.id);
        let (id, place, held_seconds) = (lease.id, lease.location, lease.age.as_secs_f64());
        let (pid, state) = (lease.server_pid, session.map(|session| session.state.as_str()));
        let route = lease.purpose.as_ref().map(Purpose::route);
        tracing::warn!(
            step = step.name(), lease = id, pid, state, held_seconds, %place, route,
            "Connection pool cleanup has ended what held a connection"
        );
    }

    fn skip(&mut self, step: Step, why: &str) {
        self.skipped.push(format!("{}: {why}", step.name()));
    }
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Cancel => "cancel",
            Self::Terminate => "terminate",
        }
    }
}

fn name(lease: &LeaseInfo, session: Option<&Session>) {
    let LeaseInfo { id, location: place, .. } = lease;
    let held_seconds = lease.age.as_secs_f64();
    let route = lease.purpose.as_ref().map(Purpose::route);
    let trace_id = lease.purpose.as_ref().and_then(Purpose::trace_id);
    let (pid, state) = (lease.server_pid, session.map(|session| session.state.as_str()));
    tracing::warn!(
        lease = id, held_seconds, %place, route, trace_id, pid, state,
        "Connection in use for suspiciously long"
    );
}
