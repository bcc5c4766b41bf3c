//! The orders in force, by which a request is judged and its response is stamped.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue};
use poolgate_control::gate::GateOrders;
use poolgate_types::{CONFIG_HEADER, CircuitState, ConfigHeader, ConfigVersion, ThrottlingConfig};

use crate::monitor::is_known;

/// A probe that was not sent in its time may be made up for within this time.
const PROBE_SLACK: Duration = Duration::from_millis(100);

/// What the control loop has decided, with the headers that tell it to the client. Replaced as a whole; a request loads
/// it once and keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(super) gate: GateOrders,
    /// `Poolgate-Config`, on every response; `None` while the config of other replicas is not known.
    config: Option<HeaderValue>,
    /// `RateLimit-Policy`, while a limit is enforced.
    policy: Option<HeaderValue>,
}

/// The circuit breaker's budget of probes.
#[derive(Debug)]
pub(super) struct Circuit {
    next_probe: Mutex<Instant>,
}

/// Whether the circuit breaker lets a request pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// The breaker is closed.
    Open,
    /// The breaker is not closed, and the request passes as a probe.
    Probe,
    /// The breaker is not closed, and the request is no probe.
    Shut,
}

impl Orders {
    pub(crate) fn new(config: &ThrottlingConfig, gate: GateOrders) -> Self {
        Self {
            gate,
            config: is_known(config).then(|| text(&ConfigHeader::from(config).to_string())),
            policy: config.enforced.then(|| text(&policy(config))),
        }
    }

    /// Adds the headers that every gated response carries, also that of a rejected request.
    pub(super) fn stamp(&self, headers: &mut HeaderMap) {
        if let Some(config) = &self.config {
            headers.insert(CONFIG_HEADER, config.clone());
        }
        if let Some(policy) = &self.policy {
            headers.insert("ratelimit-policy", policy.clone());
        }
    }
}

impl Default for Orders {
    /// Nothing is limited, and clients are told so: the orders until the control loop has decided for the first time.
    fn default() -> Self {
        let config = ThrottlingConfig::normal(ConfigVersion::default());
        let header = text(&ConfigHeader::from(&config).to_string());
        Self { config: Some(header), ..Self::new(&config, GateOrders::default()) }
    }
}

impl Circuit {
    pub(super) fn new(now: Instant) -> Self {
        Self { next_probe: Mutex::new(now) }
    }

    /// Judges one request by its orders.
    pub(super) fn passage(&self, orders: &GateOrders, now: Instant) -> Passage {
        if orders.circuit == CircuitState::Closed {
            Passage::Open
        } else if self.takes_probe(orders.probes_per_second, now) {
            Passage::Probe
        } else {
            Passage::Shut
        }
    }

    fn takes_probe(&self, per_second: f64, now: Instant) -> bool {
        let mut next_probe = self.next_probe.lock().unwrap_or_else(PoisonError::into_inner);
        if now < *next_probe {
            return false;
        }
        let Ok(interval) = Duration::try_from_secs_f64(1.0 / per_second) else { return false };
        let earliest = now.checked_sub(PROBE_SLACK).unwrap_or(now);
        let Some(next) = (*next_probe).max(earliest).checked_add(interval) else { return false };
        *next_probe = next;
        true
    }
}

/// The limits as an IETF rate limit header (draft 10): requests a minute, and requests in flight.
fn policy(config: &ThrottlingConfig) -> String {
    let per_minute =
        config.fair_rate_per_second.map_or(f64::from(config.max_requests_per_minute), |rate| (rate * 60.0).ceil());
    // `as` saturates. A quota below one would admit nothing.
    let per_minute = (per_minute as u64).max(1);
    let concurrency = config.max_concurrent_requests;
    format!(r#""per-client";q={per_minute};w=60, "in-flight";q={concurrency};qu="concurrent-requests""#)
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_appears_only_while_a_limit_is_enforced() {
        let mut config = ThrottlingConfig::normal(ConfigVersion { epoch: 7, version: 3 });
        assert_eq!(Orders::new(&config, GateOrders::default()).policy, None);
        config.enforced = true;
        config.fair_rate_per_second = Some(2.0);
        config.max_concurrent_requests = 5;
        let orders = Orders::new(&config, GateOrders::default());
        let policy = orders.policy.expect("enforced");
        assert_eq!(policy, r#""per-client";q=120;w=60, "in-flight";q=5;qu="concurrent-requests""#);
        let header: ConfigHeader = orders.config.expect("known").to_str().expect("ASCII").parse().expect("own header");
        assert_eq!((header.at.epoch, header.at.version, header.interval_ms), (7, 3, Some(500)));
    }

    #[test]
    fn probes_pass_at_their_rate() {
        let start = Instant::now();
        let circuit = Circuit::new(start);
        let steps = (0..1000_u32).map(|step| start + Duration::from_millis(10) * step);
        assert_eq!(steps.filter(|now| circuit.takes_probe(4.0, *now)).count(), 40, "4 a second for 10 s");
        let busy = Circuit::new(start);
        let at_once = |now| (0..1000).filter(|_| busy.takes_probe(200.0, now)).count();
        assert_eq!(at_once(start + Duration::from_secs(1)), 21, "what a tenth of a second left over");
        assert!(!busy.takes_probe(0.0, start + Duration::from_secs(60)));
        assert!(!busy.takes_probe(f64::NAN, start + Duration::from_secs(60)));
    }

    #[test]
    fn a_closed_breaker_lets_every_request_pass_and_an_open_one_none() {
        let (now, circuit) = (Instant::now(), Circuit::new(Instant::now()));
        for (state, passage) in [
            (CircuitState::Closed, Passage::Open),
            (CircuitState::Open, Passage::Shut),
            (CircuitState::HalfOpen, Passage::Shut),
        ] {
            let orders = GateOrders { circuit: state, ..GateOrders::default() };
            assert_eq!(circuit.passage(&orders, now + Duration::from_secs(1)), passage, "{state:?} without probes");
        }
        let probing = GateOrders { circuit: CircuitState::HalfOpen, probes_per_second: 1.0, ..GateOrders::default() };
        assert_eq!(circuit.passage(&probing, now + Duration::from_secs(2)), Passage::Probe);
    }
}
