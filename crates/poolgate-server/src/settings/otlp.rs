//! `otlp.*`: traces of requests for an OpenTelemetry collector.

use documented::DocumentedFields;
use http::{Uri, uri::PathAndQuery};
use serde::{Deserialize, Serialize};

use super::InvalidValue;

/// Where a collector takes traces, below its address.
const TRACES: &str = "/v1/traces";
const LONGEST_NAME: usize = 128;

/// `otlp.*`: traces of requests for an OpenTelemetry collector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpSettings {
    /// The collector, such as `http://collector:4318`; `/v1/traces` is added. Traces go there by OTLP over HTTP. Only of a
    /// program with the feature `otlp`. Default: nothing; no trace is sent.
    pub endpoint: String,
    /// The share of requests without a `traceparent` that are traced, 0 to 1. Of the others its flag says so. Default: 0.01.
    pub sample_ratio: f64,
    /// The service that traces name (`service.name`). Default: poolgate.
    pub service_name: String,
}

impl Default for OtlpSettings {
    fn default() -> Self {
        Self { endpoint: String::new(), sample_ratio: 0.01, service_name: "poolgate".to_owned() }
    }
}

impl OtlpSettings {
    /// Whether traces are sent.
    pub fn is_on(&self) -> bool {
        !self.endpoint.is_empty()
    }

    /// The address for traces, if they are sent.
    pub fn traces(&self) -> Option<Uri> {
        let base: Uri = self.endpoint.parse().ok()?;
        let is_web = matches!(base.scheme_str(), Some("http" | "https")) && base.host().is_some();
        let is_plain = base.query().is_none() && !base.authority().is_some_and(|place| place.as_str().contains('@'));
        let path = format!("{}{TRACES}", base.path().trim_end_matches('/'));
        let mut parts = base.into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
        Uri::from_parts(parts).ok().filter(|_| is_web && is_plain)
    }

    pub(super) fn check(&self) -> Result<(), InvalidValue> {
        let invalid = |key, problem: &str| Err(InvalidValue { key, problem: problem.to_owned() });
        if self.is_on() && self.traces().is_none() {
            return invalid(
                "otlp.endpoint",
                "must be an address that begins with http:// or https://, without a name, a password or a query; headers \
                 with a key belong into OTEL_EXPORTER_OTLP_HEADERS",
            );
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return invalid("otlp.sample_ratio", "must be from 0 to 1");
        }
        if !(1..=LONGEST_NAME).contains(&self.service_name.len()) {
            return invalid("otlp.service_name", "must have 1 to 128 bytes");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_below_the_collectors_address() {
        let to = |endpoint: &str| OtlpSettings { endpoint: endpoint.to_owned(), ..OtlpSettings::default() };
        for (endpoint, traces) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("https://otlp.example/tenant/", "https://otlp.example/tenant/v1/traces"),
        ] {
            assert_eq!(to(endpoint).traces().map(|uri| uri.to_string()).as_deref(), Some(traces));
            assert_eq!(to(endpoint).check(), Ok(()));
        }
        assert_eq!((to("").is_on(), to("").check()), (false, Ok(())));
        for endpoint in
            ["collector:4318", "grpc://collector:4317", "http://", "http://a:b@c:4318", "http://c:4318/?k=v"]
        {
            assert_eq!(to(endpoint).check().expect_err(endpoint).key, "otlp.endpoint");
        }
        for sample_ratio in [-0.1, 1.1, f64::NAN] {
            let settings = OtlpSettings { sample_ratio, ..OtlpSettings::default() };
            assert_eq!(settings.check().expect_err("no share").key, "otlp.sample_ratio");
        }
    }
}
