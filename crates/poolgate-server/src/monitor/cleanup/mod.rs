//! Cleans the pool up.
//!
//! A cleanup [runs](run) in steps. Looking, closing surplus idle connections and logging suspiciously old leases are
//! always taken. Each step that takes a connection away from its holder is opted in by a setting of its own. An
//! automatic cleanup begins when the pool's usage has been critical for 5 s ([schedule]). A requested cleanup takes the
//! opted-in steps only with the admin token. Dead connections are [ended](lost) at all times.

mod lost;
mod run;
mod schedule;
mod server;
mod sessions;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use poolgate_types::{CleanupReport, CleanupTrigger};
use tokio::sync::Mutex as AsyncMutex;

pub(crate) use self::schedule::Reach;
use self::{
    run::{CleanupRun, Outcome},
    schedule::Schedule,
};
use crate::{settings::CleanupSettings, telemetry::names, watched::WatchedPool};

/// Runs cleanups, one at a time and not too often.
#[derive(Debug)]
pub(crate) struct Cleaner {
    settings: CleanupSettings,
    origin: Instant,
    /// Held while the sessions are looked at, so that one connection outside the pool is enough.
    looking: AsyncMutex<()>,
    state: Mutex<State>,
}

/// Another cleanup is running, or ran a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CoolingDown {
    /// Time until the next one may begin.
    pub(crate) remaining: Duration,
}

/// A cleanup that was admitted but has not run yet.
#[derive(Debug)]
#[must_use = "no other cleanup begins until it has run"]
pub(crate) struct Admitted {
    trigger: CleanupTrigger,
    reach: Reach,
}

#[derive(Debug)]
struct State {
    schedule: Schedule,
    newest: Option<CleanupReport>,
}

impl Cleaner {
    pub(crate) fn new(settings: CleanupSettings) -> Self {
        let schedule = Schedule::new(settings.cooldown, settings.manual_cooldown);
        let looking = AsyncMutex::default();
        Self { settings, origin: Instant::now(), looking, state: Mutex::new(State { schedule, newest: None }) }
    }

    /// Admits a cleanup requested by a person or a client.
    pub(crate) fn admit_requested(&self, trigger: CleanupTrigger, reach: Reach) -> Result<Admitted, CoolingDown> {
        let begun = self.state().schedule.begin_manual(reach, self.origin.elapsed());
        begun.map(|()| Admitted { trigger, reach }).map_err(|remaining| CoolingDown { remaining })
    }

    /// Admits an automatic cleanup if one is `due`. Called with every tick.
    pub(crate) fn admit_automatic(&self, due: bool, usage_percent: f64) -> Option<Admitted> {
        let due = due && self.settings.automatic;
        let begins = self.state().schedule.begin_automatic(due, usage_percent, self.origin.elapsed());
        begins.then_some(Admitted { trigger: CleanupTrigger::Automatic, reach: Reach::OptedIn })
    }

    /// Runs an admitted cleanup to its end. Spawn it, or a caller that leaves would cut it short.
    pub(crate) async fn run(&self, pool: &dyn WatchedPool, admitted: Admitted) -> CleanupReport {
        let _running = Running(self);
        let _others_wait = self.looking.lock().await;
        let Admitted { trigger, reach } = admitted;
        let (begun, started_at) = (Instant::now(), Timestamp::now().to_string());
        let checked_out_before = pool.figures().checked_out;
        let automatic = trigger == CleanupTrigger::Automatic;
        let outcome = match pool.upkeep() {
            Some(upkeep) => CleanupRun { pool, upkeep, settings: &self.settings, reach, automatic }.run().await,
            None => Outcome::skipped("everything: these connections are not Poolgate's to close"),
        };
        let checked_out_after = pool.figures().checked_out;
        let summary = summary(&outcome, checked_out_after);
        let Outcome { idle_closed, leases_flagged, revoked, cancelled, terminated, freed, skipped, .. } = outcome;
        let report = CleanupReport {
            trigger,
            started_at,
            duration_ms: begun.elapsed().as_secs_f64() * 1000.0,
            checked_out_before,
            checked_out_after,
            idle_closed,
            freed,
            leases_flagged,
            revoked,
            cancelled,
            terminated,
            skipped,
            summary,
        };
        announce(&report);
        let mut state = self.state();
        if state.schedule.ended(trigger, freed) {
            tracing::error!(
                leases_busy = checked_out_after,
                "Connection pool cleanup cannot help: it freed nothing twice and stops until the pool has drained"
            );
        }
        state.newest = Some(report.clone());
        report
    }

    /// The newest report, of an automatic or a requested cleanup.
    pub(crate) fn newest(&self) -> Option<CleanupReport> {
        self.state().newest.clone()
    }

    /// Whether automatic cleanups have stopped because they freed nothing.
    pub(crate) fn is_ineffective(&self) -> bool {
        self.state().schedule.is_stopped()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running cleanup. Dropping it lets the next one begin, even if this one was cut short.
struct Running<'a>(&'a Cleaner);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state().schedule.over();
    }
}

fn summary(outcome: &Outcome, leases_busy: u32) -> String {
    let Outcome { freed, idle_closed, leases_flagged, revoked, cancelled, terminated, .. } = outcome;
    let mut summary = format!("{freed} freed, {leases_busy} leases busy, {leases_flagged} suspiciously old");
    for (count, what) in [
        (revoked, "revoked"),
        (cancelled, "queries cancelled"),
        (terminated, "sessions terminated"),
        (idle_closed, "idle closed"),
    ] {
        if *count > 0 {
            summary.push_str(&format!(", {count} {what}"));
        }
    }
    summary
}

fn announce(report: &CleanupReport) {
    let CleanupReport { trigger, idle_closed, freed, leases_flagged, revoked, cancelled, terminated, .. } = report;
    let (trigger, checked_out, duration_ms) = (trigger.as_str(), report.checked_out_after, report.duration_ms);
    tracing::info!(
        trigger,
        idle_closed,
        freed,
        leases_flagged,
        revoked,
        cancelled,
        terminated,
        checked_out,
        duration_ms,
        "Connection pool cleanup: {}",
        report.summary
    );
    let outcome = match (freed, idle_closed) {
        (1.., _) => "freed",
        (0, 1..) => "idle_closed",
        (0, 0) => "nothing",
    };
    metrics::counter!(names::CLEANUP_RUNS, "trigger" => trigger, "outcome" => outcome).increment(1);
    for (what, count) in names::CLEANUP_ENDS.into_iter().zip([revoked, cancelled, terminated]) {
        metrics::counter!(names::CLEANUP_ENDED, "what" => what).increment(u64::from(*count));
    }
}
