//! A client at one moment, for display.

use std::time::Duration;

use poolgate_types::{CircuitState, Health, Level, ThrottlingConfig};
use serde::{Deserialize, Serialize};

/// A client at one moment. As a JavaScript value it is the npm package's `ClientState`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct State {
    /// The server's level; NORMAL without a config.
    pub level: Level,
    /// The server's health; HEALTHY without a config.
    pub health: Health,
    /// State of the breaker: the server's verdict and local evidence together.
    pub breaker: CircuitState,
    /// Limits are in force.
    pub enforced: bool,
    /// The newest config document; the header of a response may have been newer.
    pub config: Option<ThrottlingConfig>,
    /// Requests on their way.
    pub in_flight: u32,
    /// Requests that wait, for the throttle or for another attempt.
    pub queued: usize,
    /// How long the oldest queued request has waited.
    #[serde(rename = "oldestWaitMs", with = "milliseconds")]
    pub oldest_wait: Duration,
    /// How long a new request of normal priority will wait, if limits stay as they are. `None`: unknown, because it depends
    /// on requests in flight, on the breaker or on later requests; or the request would be rejected.
    #[serde(rename = "etaMs")]
    pub eta: Option<Eta>,
    /// The config is older than its time to live.
    pub stale: bool,
    /// How configs arrive.
    pub transport: Transport,
    /// Requests that the client may start per second; `None`: any number.
    pub rate_per_second: Option<f64>,
}

/// A predicted wait. It is a range because the cost of a start is random.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eta {
    /// Lower bound, rarely undercut.
    #[serde(with = "milliseconds")]
    pub earliest: Duration,
    /// Upper bound, rarely exceeded.
    #[serde(with = "milliseconds")]
    pub latest: Duration,
}

/// How configs arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Transport {
    /// Over an event stream.
    Sse,
    /// By polling.
    Poll,
    /// Another tab receives them and hands them on. Only an [adopted](crate::Client::adopt) client shares.
    Shared,
    /// Not at all: before the first one, after the end, and if the server has none.
    #[default]
    None,
}

/// Durations as JavaScript has them.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64() * 1000.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let milliseconds = f64::deserialize(deserializer)?;
        // Negative numbers and NaN count as zero.
        Ok(Duration::try_from_secs_f64(milliseconds.max(0.0) / 1000.0).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_the_packages_state() {
        let eta = Some(Eta { earliest: Duration::from_millis(200), latest: Duration::from_millis(350) });
        let state = State {
            level: Level::Moderate,
            enforced: true,
            queued: 3,
            oldest_wait: Duration::from_micros(1500),
            eta,
            transport: Transport::Poll,
            rate_per_second: Some(2.5),
            ..State::default()
        };
        let expected = json!({
            "level": "MODERATE", "health": "HEALTHY", "breaker": "closed", "enforced": true, "config": null,
            "inFlight": 0, "queued": 3, "oldestWaitMs": 1.5, "etaMs": { "earliest": 200.0, "latest": 350.0 },
            "stale": false, "transport": "poll", "ratePerSecond": 2.5,
        });
        assert_eq!(serde_json::to_value(&state).expect("JSON"), expected);
        assert_eq!(serde_json::from_value::<State>(expected).expect("a state"), state);
    }
}
