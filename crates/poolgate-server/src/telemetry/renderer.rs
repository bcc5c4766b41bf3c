//! What answers `/metrics`.

use std::fmt;

/// Renders the metrics of the process as Prometheus text. The library records through the `metrics` facade; the program
/// chooses the recorder and hands it to [`Builder::metrics`](crate::Builder::metrics).
///
/// ```
/// use metrics_exporter_prometheus::PrometheusHandle;
/// use poolgate_server::MetricsRenderer;
///
/// #[derive(Debug)]
/// struct Prometheus(PrometheusHandle);
///
/// impl MetricsRenderer for Prometheus {
///     fn render(&self) -> String {
///         self.0.render()
///     }
///
///     fn upkeep(&self) {
///         self.0.run_upkeep();
///     }
/// }
/// ```
pub trait MetricsRenderer: fmt::Debug + Send + Sync + 'static {
    /// The text that `/metrics` answers with.
    fn render(&self) -> String;

    /// Frees what the recorder has buffered between two scrapes. Called every 5 seconds. Default: does nothing.
    fn upkeep(&self) {}
}
