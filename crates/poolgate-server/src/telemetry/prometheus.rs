//! The metrics as Prometheus text.

use std::{fmt, sync::Arc};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the histograms' buckets, in seconds.
const BUCKETS: [f64; 13] = [0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Writes all metrics as text. The library records through the `metrics` facade; which exporter there is, and so what
/// `/metrics` answers, is for the process to decide.
#[derive(Clone)]
pub struct MetricsRenderer(Arc<dyn Render>);

trait Render: Send + Sync {
    fn render(&self) -> String;
    /// Called every few seconds.
    fn upkeep(&self);
}

impl MetricsRenderer {
    /// Installs the Prometheus recorder for this process.
    ///
    /// # Errors
    ///
    /// When a recorder is installed already.
    pub fn install() -> Result<Self, BuildError> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?
            .install_recorder()?;
        Ok(Self::from(handle))
    }

    pub(crate) fn render(&self) -> String {
        self.0.render()
    }

    pub(crate) fn upkeep(&self) {
        self.0.upkeep();
    }
}

impl From<PrometheusHandle> for MetricsRenderer {
    fn from(handle: PrometheusHandle) -> Self {
        Self(Arc::new(handle))
    }
}

impl Render for PrometheusHandle {
    fn render(&self) -> String {
        Self::render(self)
    }

    fn upkeep(&self) {
        self.run_upkeep();
    }
}

impl fmt::Debug for MetricsRenderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsRenderer")
    }
}
