//! What is recorded of each request: a line of the access log, and a span if it is traced.

mod entry;
mod facts;
mod line;
mod request_id;
mod writer;

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, response::Response};
use futures_util::future::{self, BoxFuture, OptionFuture};
use http::Request;
use poolgate_server::{Poolgate, gate::ReportWanted, settings::AccessLog as Format};
use tower::{Layer, Service};

pub(crate) use self::facts::Facts;
use self::{
    entry::{Counted, Entry},
    request_id::RequestId,
    writer::Writer,
};
use crate::traces::Traces;

/// Records requests. As a layer it goes around everything that answers them.
#[derive(Clone)]
pub(crate) struct Records(Arc<Shared>);

struct Shared {
    log: Option<Log>,
    traces: Option<Traces>,
    /// Knows who sent a request.
    poolgate: Poolgate,
    paths: Paths,
}

/// The access log.
struct Log {
    format: Format,
    writer: Writer,
}

/// Paths that are asked again and again.
pub(crate) struct Paths {
    /// By machines: they are not recorded.
    pub(crate) left_out: &'static [&'static str],
    /// Beginning of Poolgate's own routes, which clients ask every few seconds or hold open: they are not traced.
    pub(crate) own: String,
}

impl Records {
    /// `None`: there is neither a log (`server.access_log`) nor `traces`.
    pub(crate) fn new(poolgate: &Poolgate, traces: Option<Traces>, paths: Paths) -> Option<Self> {
        let format = poolgate.settings().server.access_log;
        let log = (format != Format::Off).then(|| Log { format, writer: Writer::start() });
        let is_on = log.is_some() || traces.is_some();
        is_on.then(|| Self(Arc::new(Shared { log, traces, poolgate: poolgate.clone(), paths })))
    }

    /// Waits until the records so far are written and sent, but not for longer than this.
    pub(crate) async fn flush(&self, patience: Duration) {
        let written = self.0.log.as_ref().map(|log| log.writer.flush(patience));
        let sent = self.0.traces.as_ref().map(|traces| traces.flush(patience));
        future::join(OptionFuture::from(written), OptionFuture::from(sent)).await;
    }
}

impl<S> Layer<S> for Records {
    type Service = Recording<S>;

    fn layer(&self, inner: S) -> Recording<S> {
        Recording { inner, records: self.clone() }
    }
}

/// A service whose requests are recorded.
#[derive(Clone)]
pub(crate) struct Recording<S> {
    inner: S,
    records: Records,
}

impl<S> Service<Request<Body>> for Recording<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Shared { log, traces, poolgate, paths } = &*self.records.0;
        let path = request.uri().path();
        if paths.left_out.contains(&path) {
            return Box::pin(self.inner.call(request));
        }
        let traces = traces.as_ref().filter(|_| !path.starts_with(&paths.own));
        // Before the facts: the log names the trace that begins here.
        let span = traces.and_then(|traces| traces.begin(request.headers_mut()));
        if log.is_none() && span.is_none() {
            return Box::pin(self.inner.call(request));
        }
        let id = RequestId::of(request.headers());
        id.stamp(request.headers_mut());
        request.extensions_mut().insert(ReportWanted);
        let facts = Facts::new(poolgate, id, &request);
        let mut entry = Entry { records: self.records.clone(), facts, span };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            entry.answered(&mut response);
            Ok(response.map(|body| Body::new(Counted::new(body, entry))))
        })
    }
}
