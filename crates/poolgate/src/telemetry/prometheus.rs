//! The metrics as Prometheus text.

use std::fmt;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the histogram buckets, in seconds.
const BUCKETS: [f64; 13] = [0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Renders all metrics as text. The library records through the `metrics` facade; the process decides whether there is
/// an exporter, and so what `/metrics` answers.
#[derive(Clone)]
pub struct MetricsRenderer(PrometheusHandle);

impl MetricsRenderer {
    /// Installs the Prometheus recorder for this process.
    ///
    /// # Errors
    ///
    /// A recorder is installed already.
    pub fn install() -> Result<Self, BuildError> {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?
            .install_recorder()
            .map(Self)
    }

    pub(crate) fn render(&self) -> String {
        self.0.render()
    }

    /// Empties the buffers between two scrapes; call it every few seconds.
    pub(crate) fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

impl From<PrometheusHandle> for MetricsRenderer {
    /// Wraps the handle of a recorder that the process installed itself.
    fn from(handle: PrometheusHandle) -> Self {
        Self(handle)
    }
}

impl fmt::Debug for MetricsRenderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsRenderer")
    }
}
