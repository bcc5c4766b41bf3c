//! What all clones of a gate share.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use http::{HeaderMap, request::Parts};
use poolgate_control::gate::{Arrival, Occupancy, Quota};
use poolgate_types::{CONFIG_HEADER, CircuitState};

use super::{
    jitter::Jitter, layer::Hooks, limiter::Limiter, orders::Orders, preflight::Preflights, reject::Reject, signals,
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
    preflights: Preflights,
    orders: ArcSwap<Orders>,
    hasher: RandomState,
    quota: Mutex<Quota>,
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
            preflights: Preflights::new(settings.max_concurrent_requests),
            orders: ArcSwap::default(),
            hasher: RandomState::new(),
            quota: Mutex::default(),
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

    pub(super) fn preflights(&self) -> &Preflights {
        &self.preflights
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

    /// What the gate should know about a request.
    pub(super) fn arrival(&self, parts: &Parts, hooks: &Hooks, now: Instant) -> Arrival {
        let priority = hooks.classify(parts).unwrap_or_else(|| signals::priority(&parts.headers));
        let deadline = signals::patience(&parts.headers).map(|patience| self.limiter.at(now).saturating_add(patience));
        let (caller, clients) = self.caller(parts, hooks).unzip();
        Arrival { priority, caller, clients: clients.unwrap_or(1), deadline }
    }

    /// Who sends a request, and how many clients that stands for. 64 bits of a keyed hash are small, of equal size however
    /// long a name is, and nobody can choose them.
    fn caller(&self, parts: &Parts, hooks: &Hooks) -> Option<(u64, u32)> {
        if let Some(name) = hooks.identify(parts) {
            return Some((self.hasher.hash_one(("name", name)), 1));
        }
        let address = AddressKey::of(&parts.extensions, &parts.headers, &self.trusted_proxies)?;
        Some((self.hasher.hash_one(("address", address)), self.clients.at(address)))
    }

    /// Turns away a client that sends more than its share. Acts only while a fair rate is in force.
    pub(super) fn check_quota(&self, arrival: &Arrival, now: Instant) -> Result<(), Reject> {
        let Some(rate) = self.orders.load().fair_rate_per_second else { return Ok(()) };
        let Some(caller) = arrival.caller else { return Ok(()) };
        let mut quota = self.quota.lock().unwrap_or_else(PoisonError::into_inner);
        quota.check(caller, rate, arrival.clients, self.limiter.at(now)).map_err(|over| {
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
    pub(super) fn warn_when_nearly_full(&self, occupancy: Occupancy) {
        let Occupancy { permits, in_flight, queued: waiting, .. } = occupancy;
        if u64::from(in_flight) * 10 < u64::from(permits) * 9 {
            return;
        }
        let now = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let warned = self.warned_millis.load(Relaxed);
        let due = warned == 0 || now.saturating_sub(warned) >= WARNING_INTERVAL.as_millis() as u64;
        if due && self.warned_millis.compare_exchange(warned, now.max(1), Relaxed, Relaxed).is_ok() {
            let usage = f64::from(in_flight) / f64::from(permits) * 100.0;
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
