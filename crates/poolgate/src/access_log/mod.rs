//! A line on stdout for each request, written when its answer has been sent or its client has left.

mod entry;
mod request_id;
mod writer;

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, response::Response};
use futures_util::future::BoxFuture;
use http::Request;
use poolgate_server::{Poolgate, gate::ReportWanted, settings::AccessLog as Format};
use tower::{Layer, Service};

use self::{
    entry::{Entry, Logged},
    request_id::RequestId,
    writer::Writer,
};

/// Writes the access log. As a layer it goes around everything that answers requests.
#[derive(Clone)]
pub(crate) struct AccessLog(Arc<Log>);

struct Log {
    format: Format,
    /// Knows who sent a request.
    poolgate: Poolgate,
    /// Paths that are asked again and again by machines.
    left_out: &'static [&'static str],
    writer: Writer,
}

impl AccessLog {
    /// The log of `server.access_log`; `None`: it is off. Requests for the paths in `left_out` get no line.
    pub(crate) fn new(poolgate: &Poolgate, left_out: &'static [&'static str]) -> Option<Self> {
        let format = poolgate.settings().server.access_log;
        let log = || Log { format, poolgate: poolgate.clone(), left_out, writer: Writer::start() };
        (format != Format::Off).then(|| Self(Arc::new(log())))
    }

    /// Waits until the lines so far are written, but not for longer than this.
    pub(crate) async fn flush(&self, patience: Duration) {
        self.0.writer.flush(patience).await;
    }
}

impl<S> Layer<S> for AccessLog {
    type Service = Logging<S>;

    fn layer(&self, inner: S) -> Logging<S> {
        Logging { inner, log: self.clone() }
    }
}

/// A service whose requests are logged.
#[derive(Clone)]
pub(crate) struct Logging<S> {
    inner: S,
    log: AccessLog,
}

impl<S> Service<Request<Body>> for Logging<S>
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
        if self.log.0.left_out.contains(&request.uri().path()) {
            return Box::pin(self.inner.call(request));
        }
        let id = RequestId::of(request.headers());
        id.stamp(request.headers_mut());
        request.extensions_mut().insert(ReportWanted);
        let mut entry = Entry::new(&self.log, id, &request);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            entry.answered(&mut response);
            Ok(response.map(|body| Body::new(Logged::new(body, entry))))
        })
    }
}
