//! `sizing.*`: growing the pool ahead of demand.

use std::time::Duration;

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::duration;

/// `sizing.*`: growing the pool ahead of demand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct SizingSettings {
    /// Whether the pool opens connections ahead of demand and grows beyond `pool.size`, and the gate with it, by a
    /// forecast of the requests; it shrinks back slowly. Default: false.
    pub predictive: bool,
    /// Maximum size, `pool.size` to 10,000; `pool.max_overflow` comes on top. Never more than the database server has
    /// room for: nine tenths of its limit, divided by `replicas`, and of its free connections. Default: 40.
    pub ceiling: u32,
    /// Horizon of the forecast, 1 s to 5 min. Default: 10 s.
    #[serde(with = "duration")]
    pub horizon: Duration,
    /// Number of servers like this one on the same database, 1 to 10,000. Default: 1.
    pub replicas: u32,
}

impl Default for SizingSettings {
    fn default() -> Self {
        Self { predictive: false, ceiling: 40, horizon: Duration::from_secs(10), replicas: 1 }
    }
}
