//! Cleaning the pool up, honestly: closing idle connections frees none that is in use.
//!
//! The safe steps are looking, closing surplus idle connections (for the benefit of others who share the database
//! server), and naming the leases that have lasted suspiciously long. Replacing every connection is opted in by
//! `cleanup.dispose` and needs the admin token.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use poolgate_pool::Purpose;
use poolgate_types::{CleanupReport, CleanupTrigger};

use crate::{
    settings::CleanupSettings,
    telemetry::names,
    watched::{Upkeep, WatchedPool},
};

/// Leases that one cleanup names in the log.
const NAMED_LEASES: usize = 20;
/// Cleanups in a row that may free nothing before the automatic ones stop.
const INEFFECTIVE_RUNS: u32 = 2;

/// Runs cleanups, one at a time and not too often.
#[derive(Debug)]
pub(crate) struct Cleaner {
    settings: CleanupSettings,
    state: Mutex<State>,
}

/// A cleanup ran a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CoolingDown {
    /// For how long yet.
    pub(crate) remaining: Duration,
}

/// How far a cleanup may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The safe steps.
    Safe,
    /// The steps that are opted in as well.
    OptedIn,
}

#[derive(Debug, Default)]
struct State {
    manual: Option<Instant>,
    automatic: Option<Instant>,
    ineffective: u32,
    newest: Option<CleanupReport>,
}

impl Cleaner {
    pub(crate) fn new(settings: CleanupSettings) -> Self {
        Self { settings, state: Mutex::default() }
    }

    /// Somebody asks for it.
    pub(crate) fn manual(&self, pool: &dyn WatchedPool, reach: Reach) -> Result<CleanupReport, CoolingDown> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = state.manual {
            let remaining = self.settings.manual_cooldown.saturating_sub(last.elapsed());
            if !remaining.is_zero() {
                return Err(CoolingDown { remaining });
            }
        }
        // The lock is held while it runs, which takes no longer than writing a few log lines: that makes it one at a time.
        let report = self.clean(pool, CleanupTrigger::Manual, reach);
        state.manual = Some(Instant::now());
        state.newest = Some(report.clone());
        Ok(report)
    }

    /// The pool has been nearly full for a while (`due`), or is not any more. Called with every tick.
    pub(crate) fn automatic(&self, pool: &dyn WatchedPool, due: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Where nothing can be done, it would only say so again and again.
        if !due || pool.upkeep().is_none() {
            state.ineffective = 0;
            return;
        }
        // Twice as long after each run that freed nothing, and none after the second: it cannot help.
        let cooldown = self.settings.cooldown * 2_u32.pow(state.ineffective.min(INEFFECTIVE_RUNS));
        let cooled_down = state.automatic.is_none_or(|last| last.elapsed() >= cooldown);
        if !self.settings.automatic || state.ineffective >= INEFFECTIVE_RUNS || !cooled_down {
            return;
        }
        let report = self.clean(pool, CleanupTrigger::Automatic, Reach::Safe);
        state.ineffective = if report.freed == 0 { state.ineffective + 1 } else { 0 };
        state.automatic = Some(Instant::now());
        if state.ineffective == INEFFECTIVE_RUNS {
            tracing::error!(
                leases_busy = report.checked_out_after,
                "Connection pool cleanup cannot help: it freed nothing twice and stops until the pool has drained"
            );
        }
        state.newest = Some(report);
    }

    /// The newest report, by whatever it was triggered.
    pub(crate) fn newest(&self) -> Option<CleanupReport> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).newest.clone()
    }

    /// Automatic cleanup has freed nothing and has stopped.
    pub(crate) fn is_ineffective(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).ineffective >= INEFFECTIVE_RUNS
    }

    fn clean(&self, pool: &dyn WatchedPool, trigger: CleanupTrigger, reach: Reach) -> CleanupReport {
        let (begun, started_at) = (Instant::now(), Timestamp::now().to_string());
        let before = pool.figures().checked_out;
        let mut skipped = Vec::new();
        let (idle_closed, leases_flagged) = match pool.upkeep() {
            Some(upkeep) => (self.close_idle(upkeep, reach, &mut skipped), self.name_old_leases(upkeep)),
            None => {
                skipped.push("everything: these connections are not Poolgate's to close".to_owned());
                (0, 0)
            }
        };
        let after = pool.figures().checked_out;
        let report = CleanupReport {
            trigger,
            started_at,
            duration_ms: begun.elapsed().as_secs_f64() * 1000.0,
            checked_out_before: before,
            checked_out_after: after,
            idle_closed,
            // None of these steps takes a connection away from its user.
            freed: 0,
            leases_flagged,
            skipped,
            summary: format!(
                "0 freed, {idle_closed} idle closed, {after} leases busy, {leases_flagged} suspiciously old"
            ),
        };
        tracing::info!(
            trigger = trigger.as_str(),
            idle_closed,
            freed = report.freed,
            leases_flagged,
            checked_out = after,
            duration_ms = report.duration_ms,
            "Connection pool cleanup: {}",
            report.summary
        );
        let outcome = if idle_closed > 0 { "idle_closed" } else { "nothing" };
        metrics::counter!(names::CLEANUP_RUNS, "trigger" => trigger.as_str(), "outcome" => outcome).increment(1);
        report
    }

    fn close_idle(&self, pool: &dyn Upkeep, reach: Reach, skipped: &mut Vec<String>) -> u32 {
        match (reach, self.settings.dispose) {
            (Reach::OptedIn, true) => pool.dispose(),
            (Reach::OptedIn, false) => {
                skipped.push("dispose: not enabled (cleanup.dispose)".to_owned());
                pool.close_surplus_idle()
            }
            (Reach::Safe, enabled) => {
                let why = if enabled { "needs the admin token" } else { "not enabled (cleanup.dispose)" };
                skipped.push(format!("dispose: {why}"));
                pool.close_surplus_idle()
            }
        }
    }

    fn name_old_leases(&self, pool: &dyn Upkeep) -> u32 {
        let leases = pool.leases();
        let old = || leases.iter().filter(|lease| lease.age > self.settings.leak_threshold);
        for lease in old().take(NAMED_LEASES) {
            let (held_seconds, place) = (lease.age.as_secs_f64(), lease.place);
            let route = lease.purpose.as_ref().map(Purpose::route);
            let trace_id = lease.purpose.as_ref().and_then(Purpose::trace_id);
            tracing::warn!(lease = lease.id, held_seconds, %place, route, trace_id, "Connection in use for suspiciously long");
        }
        u32::try_from(old().count()).unwrap_or(u32::MAX)
    }
}
