//! `policy`, `control.*` and `thresholds.*`: how the control loop decides.

use std::time::Duration;

use documented::DocumentedFields;
use poolgate_control::Thresholds;
use serde::{Deserialize, Serialize};

use super::duration;

/// How clients are limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// A fair rate, computed from arrivals and waits.
    #[default]
    Adaptive,
    /// Four fixed rows, selected by the pool's usage: the original system.
    Fixed,
}

/// `control.*`: the control loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct ControlSettings {
    /// Time between two decisions, 10 ms to 1 s. Default: 100 ms.
    #[serde(with = "duration")]
    pub tick: Duration,
    /// Whether clients are limited. `false` only measures and alerts: the config stays NORMAL. Default: true.
    pub clients: bool,
}

impl Default for ControlSettings {
    fn default() -> Self {
        Self { tick: Duration::from_millis(100), clients: true }
    }
}

/// `thresholds.*`: pool usage in percent at which alerts are raised; rising, each above 0 and up to 100.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct ThresholdSettings {
    /// Alert with severity info, and health DEGRADED. Default: 70.
    pub info: f64,
    /// Alert with severity warning. Default: 80.
    pub warning: f64,
    /// Alert with severity critical, and health CRITICAL above it. Default: 90.
    pub critical: f64,
}

impl Default for ThresholdSettings {
    fn default() -> Self {
        let Thresholds { info_percent, warning_percent, critical_percent } = Thresholds::default();
        Self { info: info_percent, warning: warning_percent, critical: critical_percent }
    }
}

impl From<&ThresholdSettings> for Thresholds {
    fn from(settings: &ThresholdSettings) -> Self {
        let ThresholdSettings { info, warning, critical } = *settings;
        Self { info_percent: info, warning_percent: warning, critical_percent: critical }
    }
}
