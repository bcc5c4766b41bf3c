//! The `Poolgate-Config` header: the limits in force, sent on every gated response as an RFC 9651 dictionary.

use std::{fmt, str::FromStr};

use crate::{ConfigVersion, Level, ThrottlingConfig};

/// Name of the header, in the lower case that HTTP libraries expect.
pub const CONFIG_HEADER: &str = "poolgate-config";

/// The limits in force, as a gated response states them.
///
/// `e=1763880000000, v=41, level=MODERATE, interval=417, concurrency=5, open=?0`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfigHeader {
    /// Epoch and version of the config (`e`, `v`).
    pub at: ConfigVersion,
    /// How strongly clients are limited (`level`).
    pub level: Level,
    /// Milliseconds between two requests of one client (`interval`); absent when there is no fair rate.
    pub interval_ms: Option<u32>,
    /// Maximum number of requests in flight per client, 1 to 10 (`concurrency`).
    pub concurrency: u32,
    /// `true` while the breaker is not closed: clients send only probes (`open`).
    pub open: bool,
}

/// The header could not be parsed; a client ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHeader {
    /// The dictionary member that is missing or invalid.
    pub member: &'static str,
}

impl ConfigHeader {
    /// The fair rate, in requests per second, that [`interval_ms`](Self::interval_ms) encodes.
    pub fn fair_rate_per_second(&self) -> Option<f64> {
        self.interval_ms.map(|interval| 1000.0 / f64::from(interval.max(1)))
    }
}

impl From<&ThrottlingConfig> for ConfigHeader {
    fn from(config: &ThrottlingConfig) -> Self {
        Self {
            at: config.at(),
            level: config.throttling_level,
            // `as` saturates. Rates above 1,000 a second share the interval of 1 ms.
            interval_ms: config.fair_rate_per_second.map(|rate| ((1000.0 / rate).round() as u32).max(1)),
            concurrency: config.max_concurrent_requests,
            open: config.circuit_breaker_open,
        }
    }
}

impl fmt::Display for ConfigHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConfigVersion { epoch, version } = self.at;
        write!(f, "e={epoch}, v={version}, level={}", self.level.as_str())?;
        if let Some(interval) = self.interval_ms {
            write!(f, ", interval={interval}")?;
        }
        write!(f, ", concurrency={}, open=?{}", self.concurrency, u8::from(self.open))
    }
}

impl FromStr for ConfigHeader {
    type Err = InvalidHeader;

    /// Parses the dictionary. As RFC 9651 requires, members may come in any order, the last of two equal names wins,
    /// and unknown members and parameters are ignored.
    fn from_str(text: &str) -> Result<Self, InvalidHeader> {
        let (mut epoch, mut version, mut level, mut interval, mut concurrency) = (None, None, None, None, None);
        let mut open = None;
        for member in text.split(',') {
            let (name, value) = member.trim().split_once('=').unwrap_or((member.trim(), "?1"));
            let value = value.split(';').next().unwrap_or_default().trim_end();
            match name {
                "e" => epoch = Some(value.parse().map_err(|_| InvalidHeader { member: "e" })?),
                "v" => version = Some(value.parse().map_err(|_| InvalidHeader { member: "v" })?),
                "level" => level = Some(Level::from_wire(value)),
                "interval" => interval = Some(value.parse().map_err(|_| InvalidHeader { member: "interval" })?),
                "concurrency" => {
                    concurrency = Some(value.parse().map_err(|_| InvalidHeader { member: "concurrency" })?);
                }
                "open" => {
                    open = Some(match value {
                        "?0" => false,
                        "?1" => true,
                        _ => return Err(InvalidHeader { member: "open" }),
                    });
                }
                _ => {}
            }
        }
        let at = ConfigVersion {
            epoch: epoch.ok_or(InvalidHeader { member: "e" })?,
            version: version.ok_or(InvalidHeader { member: "v" })?,
        };
        Ok(Self {
            at,
            level: level.ok_or(InvalidHeader { member: "level" })?,
            interval_ms: interval,
            concurrency: concurrency.ok_or(InvalidHeader { member: "concurrency" })?,
            open: open.ok_or(InvalidHeader { member: "open" })?,
        })
    }
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{CONFIG_HEADER}`: member `{}` is missing or malformed", self.member)
    }
}

impl std::error::Error for InvalidHeader {}
