//! Counts of the requests at the gate since the start.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters that only rise. Each is exact; a reader takes the difference of two readings.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    arrivals: AtomicU64,
    admitted: AtomicU64,
    rejected: AtomicU64,
    no_demand: AtomicU64,
    no_demand_rejected: AtomicU64,
    shut_out: AtomicU64,
    over_quota: AtomicU64,
    completed: AtomicU64,
    succeeded: AtomicU64,
    server_errors: AtomicU64,
    given_up: AtomicU64,
    probes_succeeded: AtomicU64,
    probes_failed: AtomicU64,
}

/// One reading of the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Requests that asked for a permit, without those over their quota.
    pub(crate) arrivals: u64,
    /// Requests admitted.
    pub(crate) admitted: u64,
    /// Requests rejected.
    pub(crate) rejected: u64,
    /// Arrivals that exceed the allowance of a caller that hears no rate. They are no demand that clients could be told
    /// to lower.
    pub(crate) no_demand: u64,
    /// Requests of that kind that were rejected.
    pub(crate) no_demand_rejected: u64,
    /// Requests rejected because the breaker was not closed and they were no probes.
    pub(crate) shut_out: u64,
    /// Requests rejected because their client sent more than its share.
    pub(crate) over_quota: u64,
    /// Admitted requests for which the database has nothing more to do.
    pub(crate) completed: u64,
    /// Admitted requests that were answered, and not 5xx.
    pub(crate) succeeded: u64,
    /// Admitted requests that were answered 5xx.
    pub(crate) server_errors: u64,
    /// Admitted requests whose client gave up waiting for the answer.
    pub(crate) given_up: u64,
    /// Probes that reached the database while the breaker was not closed.
    pub(crate) probes_succeeded: u64,
    /// Probes that did not reach it.
    pub(crate) probes_failed: u64,
}

impl Tally {
    pub(super) fn arrived(&self, is_demand: bool) {
        self.arrivals.fetch_add(1, Relaxed);
        self.no_demand.fetch_add((!is_demand).into(), Relaxed);
    }

    pub(super) fn admitted(&self) {
        self.admitted.fetch_add(1, Relaxed);
    }

    pub(super) fn rejected(&self, is_demand: bool) {
        self.rejected.fetch_add(1, Relaxed);
        self.no_demand_rejected.fetch_add((!is_demand).into(), Relaxed);
    }

    pub(super) fn shut_out(&self, is_demand: bool) {
        self.rejected(is_demand);
        self.shut_out.fetch_add(1, Relaxed);
    }

    pub(super) fn over_quota(&self) {
        self.over_quota.fetch_add(1, Relaxed);
    }

    pub(super) fn completed(&self) {
        self.completed.fetch_add(1, Relaxed);
    }

    pub(super) fn succeeded(&self) {
        self.succeeded.fetch_add(1, Relaxed);
    }

    pub(super) fn given_up(&self) {
        self.given_up.fetch_add(1, Relaxed);
    }

    pub(super) fn server_error(&self) {
        self.server_errors.fetch_add(1, Relaxed);
    }

    pub(super) fn probed(&self, reached: bool) {
        if reached { &self.probes_succeeded } else { &self.probes_failed }.fetch_add(1, Relaxed);
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            arrivals: self.arrivals.load(Relaxed),
            admitted: self.admitted.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            no_demand: self.no_demand.load(Relaxed),
            no_demand_rejected: self.no_demand_rejected.load(Relaxed),
            shut_out: self.shut_out.load(Relaxed),
            over_quota: self.over_quota.load(Relaxed),
            completed: self.completed.load(Relaxed),
            succeeded: self.succeeded.load(Relaxed),
            server_errors: self.server_errors.load(Relaxed),
            given_up: self.given_up.load(Relaxed),
            probes_succeeded: self.probes_succeeded.load(Relaxed),
            probes_failed: self.probes_failed.load(Relaxed),
        }
    }
}

impl Totals {
    /// Admitted requests that got no proper answer.
    pub(crate) const fn failed(&self) -> u64 {
        self.server_errors + self.given_up
    }

    /// The difference to an earlier reading.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            arrivals: self.arrivals.saturating_sub(earlier.arrivals),
            admitted: self.admitted.saturating_sub(earlier.admitted),
            rejected: self.rejected.saturating_sub(earlier.rejected),
            no_demand: self.no_demand.saturating_sub(earlier.no_demand),
            no_demand_rejected: self.no_demand_rejected.saturating_sub(earlier.no_demand_rejected),
            shut_out: self.shut_out.saturating_sub(earlier.shut_out),
            over_quota: self.over_quota.saturating_sub(earlier.over_quota),
            completed: self.completed.saturating_sub(earlier.completed),
            succeeded: self.succeeded.saturating_sub(earlier.succeeded),
            server_errors: self.server_errors.saturating_sub(earlier.server_errors),
            given_up: self.given_up.saturating_sub(earlier.given_up),
            probes_succeeded: self.probes_succeeded.saturating_sub(earlier.probes_succeeded),
            probes_failed: self.probes_failed.saturating_sub(earlier.probes_failed),
        }
    }
}
