//! `monitor.*`: monitoring the database.

use std::time::Duration;

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::duration;

/// `monitor.*`: monitoring the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct MonitorSettings {
    /// How often the log repeats that a pool is nearly full, 1 s to 1 h. Default: 30 s. The database is checked as
    /// often, but at least every 5 s, and every second while in doubt.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// How long the database must be unusable before `/readyz` answers 503, so that a load balancer uses a replica that
    /// still reaches it; up to 1 h. `"0s"`: never, for a server without replicas. Default: 10 s.
    #[serde(with = "duration")]
    pub unready_after: Duration,
}

impl Default for MonitorSettings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), unready_after: Duration::from_secs(10) }
    }
}
