//! `otlp.endpoint`: a span for each sampled request, sent to an OpenTelemetry collector.

#[cfg(feature = "otlp")]
mod collector;
#[cfg(feature = "otlp")]
mod queue;
#[cfg(feature = "otlp")]
mod span;

#[cfg(feature = "otlp")]
pub(crate) use self::span::{RequestSpan, Traces};

#[cfg(not(feature = "otlp"))]
pub(crate) use self::without::{RequestSpan, Traces};

#[cfg(not(feature = "otlp"))]
mod without {
    use std::{fmt::Display, time::Duration};

    use http::HeaderMap;
    use poolgate_server::settings::OtlpSettings;

    use crate::records::Facts;

    /// There are none.
    pub(crate) enum Traces {}

    /// There is none.
    pub(crate) enum RequestSpan {}

    impl Traces {
        pub(crate) fn start(settings: &OtlpSettings, _: impl Display) -> anyhow::Result<Option<Self>> {
            anyhow::ensure!(!settings.is_on(), "otlp.endpoint: this program was built without the feature `otlp`");
            Ok(None)
        }

        pub(crate) fn begin(&self, _: &mut HeaderMap) -> Option<RequestSpan> {
            match *self {}
        }

        pub(crate) async fn flush(&self, _: Duration) {
            match *self {}
        }
    }

    impl RequestSpan {
        pub(crate) fn end(self, _: &Facts) {
            match self {}
        }
    }
}
