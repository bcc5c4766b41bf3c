//! The span of one request, with children for its waits. Names and attributes are OpenTelemetry's semantic conventions
//! for HTTP servers; those of Poolgate begin with `poolgate.`.

use std::{
    fmt::Display,
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use opentelemetry::{
    Context, KeyValue, Value,
    trace::{
        Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
        TraceState, Tracer, TracerProvider,
    },
};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider, Span, SpanExporter},
};
use poolgate_server::{
    gate::{Acquired, GateReport, TraceParent},
    settings::OtlpSettings,
};

use super::{collector, queue::Queue};
use crate::records::Facts;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Longer texts of clients are cut, because spans wait in memory.
const LONGEST: usize = 256;
/// The methods that the conventions know; every other is `_OTHER`.
const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// Begins spans, and sends them to the collector.
pub(crate) struct Traces {
    tracer: SdkTracer,
    queue: Queue,
}

/// The span of a sampled request.
pub(crate) struct RequestSpan {
    tracer: SdkTracer,
    span: Span,
}

impl Traces {
    /// Those of the settings; `None`: they are off.
    pub(crate) fn start(settings: &OtlpSettings, instance: impl Display) -> anyhow::Result<Option<Self>> {
        let Some(address) = settings.traces() else { return Ok(None) };
        let resource = Resource::builder_empty()
            .with_service_name(settings.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", instance.to_string()))
            .build();
        let mut exporter = collector::exporter(&address)?;
        exporter.set_resource(&resource);
        let queue = Queue::start(exporter);
        let of_roots = Sampler::TraceIdRatioBased(settings.sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(of_roots)))
            .with_span_processor(queue.clone())
            .build();
        tracing::info!(%address, sample_ratio = settings.sample_ratio, "Traces are sent to a collector");
        Ok(Some(Self { tracer: provider.tracer("poolgate"), queue }))
    }

    /// Begins the span of a request, if it is sampled. Its headers then name the span as the parent of what follows;
    /// those of any other request stay as they are.
    pub(crate) fn begin(&self, headers: &mut HeaderMap) -> Option<RequestSpan> {
        let caller = caller(headers);
        let has_caller = caller.is_some();
        let context = caller.map_or_else(Context::new, |caller| Context::new().with_remote_span_context(caller));
        let builder = SpanBuilder::from_name("HTTP").with_kind(SpanKind::Server).with_start_time(SystemTime::now());
        let span = self.tracer.build_with_context(builder, &context);
        if !span.is_recording() {
            return None;
        }
        let own = span.span_context();
        let text = format!("00-{}-{}-{:02x}", own.trace_id(), own.span_id(), own.trace_flags());
        headers.insert(TRACEPARENT, HeaderValue::try_from(text).ok()?);
        if !has_caller {
            // It belongs to no trace.
            headers.remove(TRACESTATE);
        }
        Some(RequestSpan { tracer: self.tracer.clone(), span })
    }

    /// Waits until the spans so far are sent, but not for longer than this.
    pub(crate) async fn flush(&self, patience: Duration) {
        self.queue.flush(patience).await;
    }
}

/// The span in whose name the request comes.
fn caller(headers: &HeaderMap) -> Option<SpanContext> {
    let parent = TraceParent::of(headers)?;
    let (trace, span) = (TraceId::from_hex(parent.trace_id).ok()?, SpanId::from_hex(parent.parent_id).ok()?);
    let flags = if parent.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let lines: Vec<_> = headers.get_all(TRACESTATE).iter().filter_map(|line| line.to_str().ok()).collect();
    // By the standard a state that cannot be read is forgotten, and the parent still counts.
    let state = lines.join(",").parse::<TraceState>().unwrap_or_default();
    Some(SpanContext::new(trace, span, flags, true, state))
}

impl RequestSpan {
    /// The request has ended.
    pub(crate) fn end(self, facts: &Facts) {
        let at = |moment: Instant| SystemTime::from(facts.time) + moment.saturating_duration_since(facts.begun);
        let ended = at(Instant::now());
        let context = Context::new().with_span(self.span);
        if let Some(gate) = facts.gate() {
            for (name, begun, time) in waits(gate) {
                let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Internal).with_start_time(at(begun));
                self.tracer.build_with_context(builder, &context).end_with_timestamp(at(begun + time));
            }
        }
        let span = context.span();
        span.update_name(name(facts));
        span.set_attributes(attributes(facts));
        if facts.answer.as_ref().is_some_and(|answer| answer.status.is_server_error()) {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(ended);
    }
}

/// The waits of a request: name, begin and length.
fn waits(gate: &GateReport) -> impl Iterator<Item = (&'static str, Instant, Duration)> {
    let connection = gate.acquired.map(|Acquired { acquire_wait, pool_wait }| {
        ("connection wait", gate.asked + acquire_wait.saturating_sub(pool_wait), pool_wait)
    });
    [("gate wait", gate.asked, gate.waited)].into_iter().chain(connection)
}

/// `GET /orders/{id}`, or `GET` where the route is not known.
fn name(facts: &Facts) -> String {
    let method = Some(facts.method.as_str()).filter(|method| METHODS.contains(method)).unwrap_or("HTTP");
    match facts.gate().and_then(|gate| gate.route.as_ref()) {
        Some(route) => format!("{method} {}", route.as_str()),
        None => method.to_owned(),
    }
}

fn attributes(facts: &Facts) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    let mut set = |name: &'static str, value: Value| attributes.push(KeyValue::new(name, value));
    let method = facts.method.as_str();
    if METHODS.contains(&method) {
        set("http.request.method", method.to_owned().into());
    } else {
        set("http.request.method", "_OTHER".into());
        set("http.request.method_original", short(method).into());
    }
    // TLS ends in front of Poolgate.
    set("url.scheme", "http".into());
    set("url.path", short(&facts.path).into());
    set("network.protocol.version", if facts.version == Version::HTTP_10 { "1.0" } else { "1.1" }.into());
    set("poolgate.request_id", facts.id.as_str().to_owned().into());
    if let Some(remote) = facts.remote {
        set("client.address", remote.to_string().into());
    }
    if let Some(user_agent) = &facts.user_agent {
        set("user_agent.original", short(user_agent).into());
    }
    if let Some(answer) = &facts.answer {
        set("http.response.status_code", i64::from(answer.status.as_u16()).into());
        set("http.response.body.size", i64::try_from(facts.bytes).unwrap_or(i64::MAX).into());
        if answer.status.is_server_error() {
            set("error.type", answer.status.as_str().to_owned().into());
        }
        if let Some(outcome) = &answer.outcome {
            set("poolgate.outcome", short(outcome).into());
        }
    }
    if let Some(gate) = facts.gate() {
        set("poolgate.gate", gate.outcome.into());
        if let Some(route) = &gate.route {
            set("http.route", route.as_str().to_owned().into());
        }
    }
    set("poolgate.complete", facts.is_complete.into());
    attributes
}

fn short(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST)].to_owned()
}
