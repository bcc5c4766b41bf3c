//! Sends spans to the collector.

use std::time::Duration;

use anyhow::{Context, anyhow};
use axum::body::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use tokio::time;

use crate::web_client::{WebClient, web_client};

/// Time limit for one message and its answer, connecting included.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer answers are not read.
const LONGEST_ANSWER: usize = 64 << 10;

/// An exporter to this address.
pub(super) fn exporter(address: &Uri) -> anyhow::Result<SpanExporter> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector(web_client()?))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(address.to_string())
        .with_timeout(PATIENCE);
    exporter.build().context("otlp.endpoint")
}

#[derive(Debug)]
struct Collector(WebClient);

impl HttpClient for Collector {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> BoxFuture<'b, Result<Response<Bytes>, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let sent = time::timeout(PATIENCE, self.send(request.map(Full::new))).await;
            let answered = sent.unwrap_or_else(|_| Err(anyhow!("no answer within {PATIENCE:?}")));
            // Only the outermost error is logged.
            answered.map_err(|error| format!("{error:#}").into())
        })
    }
}

impl Collector {
    async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Bytes>> {
        let (head, body) = self.0.request(request).await.context("it cannot be reached")?.into_parts();
        let body =
            Limited::new(body, LONGEST_ANSWER).collect().await.map_err(|error| anyhow!("its answer: {error}"))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}
