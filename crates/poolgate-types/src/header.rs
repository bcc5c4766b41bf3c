//! The `Poolgate-Config` header: the config's actuating part on every gated response, an RFC 9651 dictionary.

use std::{fmt, str::FromStr};

use crate::{ConfigVersion, Level, ThrottlingConfig};

/// Name of the header, in lower case as HTTP libraries want it.
pub const CONFIG_HEADER: &str = "poolgate-config";

/// What a gated response tells its client about the config in force.
///
/// `e=1763880000000, v=41, level=MODERATE, interval=417, concurrency=5, open=?0`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfigHeader {
    /// Where this config stands among others (`e`, `v`).
    pub at: ConfigVersion,
    /// How strongly clients are slowed down (`level`).
    pub level: Level,
    /// Milliseconds between two requests of one client (`interval`); absent when there is no fair rate.
    pub interval_ms: Option<u32>,
    /// Requests that one client may have in flight (`concurrency`).
    pub concurrency: u32,
    /// Nothing may pass but probes (`open`).
    pub open: bool,
}

/// The header was not understood; a client ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHeader {
    /// The dictionary's member that is missing or wrong.
    pub member: &'static str,
}

impl ConfigHeader {
    /// The fair rate that [`interval_ms`](Self::interval_ms) stands for.
    pub fn fair_rate_per_second(&self) -> Option<f64> {
        self.interval_ms.map(|interval| 1000.0 / f64::from(interval.max(1)))
    }
}

impl From<&ThrottlingConfig> for ConfigHeader {
    fn from(config: &ThrottlingConfig) -> Self {
        Self {
            at: config.at(),
            level: config.throttling_level,
            // `as` saturates; a rate is positive, and one above 1,000 a second has the interval of 1,000.
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

    /// Reads the dictionary. As RFC 9651 has it, members may come in any order, the last of a name wins, and what is
    /// not known, parameters included, is ignored.
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
