//! What the control loop tells the gate.

use http::HeaderValue;
use poolgate_types::{CircuitState, ConfigHeader, ConfigVersion, ThrottlingConfig};

/// Replaced as a whole by the monitor; read once per request.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    /// `Poolgate-Config`, on every response.
    pub(super) config: HeaderValue,
    /// `RateLimit-Policy`, while a limit is enforced.
    pub(super) policy: Option<HeaderValue>,
    /// State of the breaker.
    pub(super) circuit: CircuitState,
    /// Requests a second that may pass while the breaker is not closed.
    pub(super) probes_per_second: f64,
    /// When to come back while the breaker is open, in seconds.
    pub(super) retry_after_seconds: u32,
    /// Requests a second and client, while such a limit is in force.
    pub(super) fair_rate_per_second: Option<f64>,
}

impl Orders {
    /// The orders that belong to a config.
    pub(crate) fn new(config: &ThrottlingConfig, circuit: CircuitState, probes_per_second: f64) -> Self {
        Self {
            config: text(&ConfigHeader::from(config).to_string()),
            policy: config.enforced.then(|| text(&policy(config))),
            circuit,
            probes_per_second,
            retry_after_seconds: config.retry_after_seconds.unwrap_or(1).clamp(1, 60),
            fair_rate_per_second: config.fair_rate_per_second.filter(|_| config.enforced),
        }
    }
}

impl Default for Orders {
    /// Nothing is limited: what holds until the control loop has decided for the first time.
    fn default() -> Self {
        Self::new(&ThrottlingConfig::normal(ConfigVersion::default()), CircuitState::Closed, 0.0)
    }
}

/// The limits in the words of the IETF's rate limit headers (draft 10): requests a minute, and requests in flight.
fn policy(config: &ThrottlingConfig) -> String {
    let per_minute =
        config.fair_rate_per_second.map_or(f64::from(config.max_requests_per_minute), |rate| (rate * 60.0).ceil());
    // `as` saturates; a quota of at least one is what lets anybody in at all.
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
        assert_eq!(Orders::new(&config, CircuitState::Closed, 0.0).policy, None);
        config.enforced = true;
        config.fair_rate_per_second = Some(2.0);
        config.max_concurrent_requests = 5;
        let orders = Orders::new(&config, CircuitState::Closed, 0.0);
        let policy = orders.policy.expect("enforced");
        assert_eq!(policy, r#""per-client";q=120;w=60, "in-flight";q=5;qu="concurrent-requests""#);
        let header: ConfigHeader = orders.config.to_str().expect("ASCII").parse().expect("own header");
        assert_eq!((header.at.epoch, header.at.version, header.interval_ms), (7, 3, Some(500)));
    }
}
