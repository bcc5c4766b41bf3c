//! What all clones of a gate share.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use http::{HeaderMap, request::Parts};
use poolgate_types::{CONFIG_HEADER, CircuitState};

use super::{
    jitter::Jitter,
    layer::Identify,
    limiter::{Limiter, Occupancy},
    orders::Orders,
    quota::Quota,
    reject::Reject,
};
use crate::{
    address::AddressKey,
    clients::Registry,
    latency::Latency,
    settings::{GateSettings, Network},
};

/// Shortest time between two warnings that the gate is nearly full.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// What all clones of a gate share.
#[derive(Debug)]
pub(crate) struct Core {
    limiter: Arc<Limiter>,
    timeout: Duration,
    orders: ArcSwap<Orders>,
    quota: Quota,
    probes: Mutex<ProbeBudget>,
    clients: Registry,
    trusted_proxies: Vec<Network>,
    responses: Latency,
    jitter: Jitter,
    origin: Instant,
    warned_millis: AtomicU64,
}

/// Lets so many pass per second; what a tenth of a second did not use may be used later.
#[derive(Debug)]
struct ProbeBudget {
    next: Instant,
}

/// How far the budget may be behind.
const PROBE_SLACK: Duration = Duration::from_millis(100);

impl Core {
    pub(crate) fn new(settings: &GateSettings, clients: Registry, trusted_proxies: Vec<Network>) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            limiter: Limiter::new(settings),
            timeout: settings.timeout,
            orders: ArcSwap::default(),
            quota: Quota::new(),
            probes: Mutex::new(ProbeBudget { next: now }),
            clients,
            trusted_proxies,
            responses: Latency::default(),
            jitter: Jitter::new(),
            origin: now,
            warned_millis: AtomicU64::new(0),
        })
    }

    /// Replaces the orders; requests that are being answered already get the new header.
    pub(crate) fn publish(&self, orders: Orders) {
        self.orders.store(Arc::new(orders));
    }

    pub(crate) fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        self.limiter.occupancy()
    }

    /// From arrival to the response's head.
    pub(crate) fn responses(&self) -> &Latency {
        &self.responses
    }

    pub(crate) fn jitter(&self) -> &Jitter {
        &self.jitter
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Turns away a client that sends more than its share. Acts only while a fair rate is in force.
    pub(super) fn check_quota(&self, parts: &Parts, identify: Option<&Identify>, now: Instant) -> Result<(), Reject> {
        let Some(rate) = self.orders.load().fair_rate_per_second else { return Ok(()) };
        let checked = match identify.and_then(|identify| identify(parts)) {
            Some(name) => self.quota.check(("name", name), rate, 1, now),
            None => match AddressKey::of(&parts.extensions, &parts.headers, &self.trusted_proxies) {
                Some(address) => self.quota.check(("address", address), rate, self.clients.at(address), now),
                None => return Ok(()),
            },
        };
        checked.map_err(|over| {
            self.limiter.tally().over_quota();
            // `as` saturates; up to an hour fits.
            Reject::OverQuota { due_seconds: over.due.as_secs_f64().ceil() as u32 }
        })
    }

    /// Lets a request on while the breaker is closed. Otherwise it must be a probe, and those are few: `Ok(true)`.
    pub(super) fn check_circuit(&self, now: Instant) -> Result<bool, Reject> {
        let orders = self.orders.load();
        if orders.circuit == CircuitState::Closed {
            return Ok(false);
        }
        if self.probes.lock().unwrap_or_else(PoisonError::into_inner).take(orders.probes_per_second, now) {
            return Ok(true);
        }
        Err(Reject::CircuitOpen { retry_after_seconds: orders.retry_after_seconds })
    }

    /// What every gated response carries, rejects included.
    pub(super) fn stamp(&self, headers: &mut HeaderMap) {
        let orders = self.orders.load();
        headers.insert(CONFIG_HEADER, orders.config.clone());
        if let Some(policy) = &orders.policy {
            headers.insert("ratelimit-policy", policy.clone());
        }
    }

    /// Says, not more often than every ten seconds, that the gate is nearly full.
    pub(super) fn warn_when_nearly_full(&self, in_flight: u32) {
        let permits = self.limiter.permits();
        if u64::from(in_flight) * 10 < u64::from(permits) * 9 {
            return;
        }
        let now = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let warned = self.warned_millis.load(Relaxed);
        let due = warned == 0 || now.saturating_sub(warned) >= WARNING_INTERVAL.as_millis() as u64;
        if due && self.warned_millis.compare_exchange(warned, now.max(1), Relaxed, Relaxed).is_ok() {
            let usage = f64::from(in_flight) / f64::from(permits) * 100.0;
            let waiting = self.limiter.occupancy().queued;
            tracing::warn!(in_flight, permits, waiting, "Connection gate usage high: {usage:.1}%");
        }
    }
}

impl ProbeBudget {
    fn take(&mut self, per_second: f64, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        let Ok(interval) = Duration::try_from_secs_f64(1.0 / per_second) else { return false };
        let earliest = now.checked_sub(PROBE_SLACK).unwrap_or(now);
        let Some(next) = self.next.max(earliest).checked_add(interval) else { return false };
        self.next = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_pass_at_their_rate() {
        let start = Instant::now();
        let mut budget = ProbeBudget { next: start };
        let passed = (0..1000_u32).filter(|step| budget.take(4.0, start + Duration::from_millis(10) * *step)).count();
        assert_eq!(passed, 40, "4 a second for 10 s");
        let mut busy = ProbeBudget { next: start };
        let at_once = |budget: &mut ProbeBudget, now| (0..1000).filter(|_| budget.take(200.0, now)).count();
        assert_eq!(at_once(&mut busy, start + Duration::from_secs(1)), 21, "what a tenth of a second left over");
        assert!(!budget.take(0.0, start + Duration::from_secs(60)));
        assert!(!budget.take(f64::NAN, start + Duration::from_secs(60)));
    }
}
