//! A plain HTTP client for tests.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{client::legacy, client::legacy::connect::HttpConnector, rt::TokioExecutor};
use poolgate_native::{Event, EventReader};
use poolgate_types::Problem;
use serde::de::DeserializeOwned;

/// Time limit for a response.
const PATIENCE: Duration = Duration::from_secs(40);

/// Talks to one server. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
}

/// A complete response.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// A stream of server-sent events.
#[derive(Debug)]
pub struct EventStream {
    body: Incoming,
    reader: EventReader,
    events: VecDeque<Event>,
}

impl Client {
    /// A client of the server at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, http: legacy::Client::builder(TokioExecutor::new()).build_http() }
    }

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a GET.
    ///
    /// # Errors
    ///
    /// No response in time.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, &[], "").await
    }

    /// Sends a JSON document with POST.
    ///
    /// # Errors
    ///
    /// No response in time.
    pub async fn post_json(&self, path: &str, document: &serde_json::Value) -> Result<Answer> {
        let headers = [(header::CONTENT_TYPE.as_str(), "application/json")];
        self.send(Method::POST, path, &headers, &document.to_string()).await
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// No response in time.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
        let exchange = async {
            let response = self.http.request(self.request(method, path, headers, body)?).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        tokio::time::timeout(PATIENCE, exchange).await.with_context(|| format!("{path}: no answer in time"))?
    }

    /// Opens an event stream.
    ///
    /// # Errors
    ///
    /// No response in time, or a status other than 200.
    pub async fn events(&self, path: &str) -> Result<EventStream> {
        let response = self.http.request(self.request(Method::GET, path, &[], "")?).await?;
        ensure!(response.status() == StatusCode::OK, "{path}: {}", response.status());
        let kind = response.headers().get(header::CONTENT_TYPE).context("no content type")?;
        ensure!(kind.to_str()?.starts_with("text/event-stream"), "{path}: {kind:?}");
        Ok(EventStream { body: response.into_body(), reader: EventReader::default(), events: VecDeque::new() })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(request.body(Full::from(body.to_owned()))?)
    }
}

impl Answer {
    /// The body as a JSON document.
    ///
    /// # Errors
    ///
    /// The body is not JSON of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let text = || format!("{} {}", self.status, String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).with_context(text)
    }

    /// The body as a problem document, checked against the response's head.
    ///
    /// # Errors
    ///
    /// It is not a problem document, or it contradicts the head.
    pub fn problem(&self) -> Result<Problem> {
        let problem: Problem = self.json()?;
        ensure!(problem.status == self.status.as_u16(), "status {} in the body of a {}", problem.status, self.status);
        ensure!(self.header("content-type") == Some(Problem::CONTENT_TYPE), "{:?}", self.headers);
        Ok(problem)
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl EventStream {
    /// The next event; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// No event and no end within `limit`.
    pub async fn next(&mut self, limit: Duration) -> Result<Option<Event>> {
        let deadline = Instant::now() + limit;
        while self.events.is_empty() {
            let frame =
                tokio::time::timeout_at(deadline.into(), self.body.frame()).await.context("no event in time")?;
            let Some(frame) = frame else { return Ok(None) };
            if let Ok(bytes) = frame?.into_data() {
                self.events.extend(self.reader.read(&bytes)?);
            }
        }
        Ok(self.events.pop_front())
    }
}
