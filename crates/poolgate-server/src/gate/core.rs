//! What all clones of a gate share.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use http::{Extensions, HeaderMap, request::Parts};
use poolgate_control::gate::{Arrival, Crowd, Judged, Occupancy, Quota, Standing};
use poolgate_types::{CONFIG_HEADER, CircuitState};
use tokio_util::sync::CancellationToken;

use super::{
    jitter::Jitter,
    layer::Hooks,
    limiter::Limiter,
    orders::Orders,
    preflight::Preflights,
    reject::Reject,
    signals,
    streams::Streams,
    upload::{Patience, Readers},
};
use crate::{
    address::Sender,
    clients::Registry,
    latency::Latency,
    proxies::UntrustedProxies,
    settings::{GateSettings, Network, ServerSettings},
};

/// Shortest time between two warnings that the gate is nearly full.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// What all clones of a gate share.
#[derive(Debug)]
pub(crate) struct Core {
    limiter: Arc<Limiter>,
    streams: Arc<Streams>,
    readers: Arc<Readers>,
    body_timeout: Duration,
    /// Cancelled when the shutdown begins.
    closing: CancellationToken,
    preflights: Preflights,
    orders: ArcSwap<Orders>,
    hasher: RandomState,
    quota: Mutex<Quota>,
    probes: Mutex<ProbeBudget>,
    clients: Registry,
    trusted_proxies: Vec<Network>,
    untrusted_proxies: UntrustedProxies,
    max_clients_per_address: u32,
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
    pub(crate) fn new(
        settings: &GateSettings,
        server: &ServerSettings,
        clients: Registry,
        closing: CancellationToken,
    ) -> Arc<Self> {
        let now = Instant::now();
        let limiter = Limiter::new(settings);
        Arc::new(Self {
            streams: Streams::new(Arc::clone(&limiter), settings.timeout),
            limiter,
            readers: Arc::default(),
            body_timeout: server.body_timeout,
            closing,
            preflights: Preflights::new(settings.max_concurrent_requests),
            orders: ArcSwap::default(),
            hasher: RandomState::new(),
            quota: Mutex::default(),
            probes: Mutex::new(ProbeBudget { next: now }),
            clients,
            trusted_proxies: server.trusted_proxies.clone(),
            untrusted_proxies: UntrustedProxies::new(),
            max_clients_per_address: settings.max_clients_per_address,
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

    pub(super) fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    pub(super) fn readers(&self) -> &Arc<Readers> {
        &self.readers
    }

    /// Patience with a small body, or with the next piece of any other.
    pub(super) fn patience_with_bodies(&self) -> Patience {
        Patience { longest: self.body_timeout, closing: self.closing.clone() }
    }

    /// So many connections of the pool are in use.
    pub(crate) fn set_connections(&self, in_use: u32) {
        self.streams.set_connections(in_use);
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

    /// Who sent a request, where the server tells.
    pub(crate) fn sender(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<Sender> {
        let sender = Sender::of(extensions, headers, &self.trusted_proxies)?;
        if let Some(proxy) = sender.untrusted_proxy {
            self.untrusted_proxies.notice(proxy);
        }
        Some(sender)
    }

    /// A proxy that forwards requests, was seen within the last minute, and is not trusted.
    pub(crate) fn untrusted_proxy(&self) -> Option<IpAddr> {
        self.untrusted_proxies.recent()
    }

    /// What the gate should know about a request, unless its client sends more than its share.
    pub(super) fn arrival(&self, parts: &Parts, hooks: &Hooks, now: Instant) -> Result<Arrival, Reject> {
        let priority = hooks.classify(parts).unwrap_or_else(|| signals::priority(&parts.headers));
        let deadline = signals::patience(&parts.headers).map(|patience| self.limiter.at(now).saturating_add(patience));
        let unknown = Arrival { priority, caller: None, clients: 1, deadline, excess: false };
        let Some((caller, crowd)) = self.caller(parts, hooks) else { return Ok(unknown) };
        let Judged { standing, clients } = self.check_quota(caller, crowd, now)?;
        let excess = standing == Standing::Excess;
        Ok(Arrival { caller: Some(caller), clients, excess, ..unknown })
    }

    /// Who sends a request, and how many clients that stands for. 64 bits of a keyed hash are small, of equal size however
    /// long a name is, and nobody can choose them.
    fn caller(&self, parts: &Parts, hooks: &Hooks) -> Option<(u64, Crowd)> {
        if let Some(name) = hooks.identify(parts) {
            // Whom the app knows by name hears from each response what may be sent.
            return Some((self.hasher.hash_one(("name", name)), Crowd { counted: 1, claimed: 1, hears: true }));
        }
        let Sender { address, untrusted_proxy } = self.sender(&parts.extensions, &parts.headers)?;
        let claimed = self.clients.at(address);
        let counted = claimed.clamp(1, self.max_clients_per_address);
        // Of those behind a proxy that is not trusted nobody knows how many they are.
        let crowd = Crowd { counted, claimed, hears: claimed > 0 && untrusted_proxy.is_none() };
        Some((self.hasher.hash_one(("address", address)), crowd))
    }

    /// Turns away a client that sends more than its share. Acts only while a fair rate is in force and, where clients are
    /// told apart by their addresses, somebody listens.
    fn check_quota(&self, caller: u64, crowd: Crowd, now: Instant) -> Result<Judged, Reject> {
        let covered = Judged { standing: Standing::Covered, clients: crowd.counted };
        let Some(rate) = self.orders.load().fair_rate_per_second else { return Ok(covered) };
        if !crowd.hears && !self.clients.anybody() {
            return Ok(covered);
        }
        let mut quota = self.quota.lock().unwrap_or_else(PoisonError::into_inner);
        quota.judge(caller, rate, crowd, self.limiter.at(now)).map_err(|over| {
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
