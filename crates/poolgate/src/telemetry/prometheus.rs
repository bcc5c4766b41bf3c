//! The metrics as Prometheus text.

use std::fmt;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use poolgate_server::MetricsRenderer;

/// Upper bounds of the histogram buckets, in seconds.
const BUCKETS: [f64; 13] = [0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Renders the metrics that the process has recorded through the `metrics` facade.
#[derive(Clone)]
pub struct Prometheus(PrometheusHandle);

impl Prometheus {
    /// Installs the Prometheus recorder for this process.
    ///
    /// # Errors
    ///
    /// When the process has a recorder already.
    pub fn install() -> Result<Self, BuildError> {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?
            .install_recorder()
            .map(Self)
    }
}

impl MetricsRenderer for Prometheus {
    fn render(&self) -> String {
        self.0.render()
    }

    fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prometheus")
    }
}
