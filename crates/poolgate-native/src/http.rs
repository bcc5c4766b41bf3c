//! The HTTP client: requests to one server, on connections that are kept alive.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use poolgate_front::{Calendar, Head};
use poolgate_types::{ThrottlingConfig, routes};

/// The longest body that is read, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Shorter than servers keep idle connections, so that a request rarely meets a closing one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests to one server. Clones share its connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client<HttpConnector, Full<Bytes>>,
    authority: String,
}

/// An answer, its body read to the end.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The head, as far as a client learns from it.
    pub head: Head,
    /// The body, at most 64 KiB.
    pub body: Bytes,
}

/// There was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The deadline passed.
    Late,
    /// Refused, reset or cut off.
    NoContact,
}

impl HttpClient {
    /// A client for the server at `target`.
    pub fn new(target: SocketAddr) -> Self {
        Self::from_address(None, target)
    }

    /// The same with connections from this local address, so that a server that tells clients apart by address takes it
    /// for another one. On Linux any address in 127.0.0.0/8 works for a server on loopback.
    pub fn from_address(local: Option<IpAddr>, target: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_local_address(local);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        Self { client, authority: target.to_string() }
    }

    /// Sends a GET and reads the answer, until `deadline`.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] if there was none in time.
    pub async fn get(&self, path: &str, deadline: Instant) -> Result<Answer, NoAnswer> {
        let request = Request::get(self.uri(path)?).body(Full::default());
        self.exchange(request.map_err(|_| NoAnswer::NoContact)?, deadline).await
    }

    /// Sends a JSON document with POST and reads the answer, until `deadline`.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] if there was none in time; the server may have executed the request nevertheless.
    pub async fn post_json(&self, path: &str, document: String, deadline: Instant) -> Result<Answer, NoAnswer> {
        let request =
            Request::post(self.uri(path)?).header(header::CONTENT_TYPE, "application/json").body(Full::from(document));
        self.exchange(request.map_err(|_| NoAnswer::NoContact)?, deadline).await
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, deadline: Instant) -> Result<Answer, NoAnswer> {
        let exchange = async {
            let response = self.client.request(request).await.map_err(|_| NoAnswer::NoContact)?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|_| NoAnswer::NoContact)?;
            Ok(Answer {
                status: head.status,
                head: Head::read(head.status.as_u16(), |name| header_text(&head.headers, name), &SystemCalendar),
                body: body.to_bytes(),
            })
        };
        tokio::time::timeout_at(deadline.into(), exchange).await.unwrap_or(Err(NoAnswer::Late))
    }

    /// Fetches the config document.
    pub(super) async fn config(&self, deadline: Instant) -> Option<ThrottlingConfig> {
        let answer = self.get(routes::THROTTLING_CONFIG, deadline).await.ok()?;
        answer.status.is_success().then(|| serde_json::from_slice(&answer.body).ok())?
    }

    /// Opens a stream: returns the head, and the body as it arrives.
    pub(super) async fn stream(&self, path: &str) -> Result<(StatusCode, Incoming), NoAnswer> {
        let response = self.client.get(self.uri(path)?).await.map_err(|_| NoAnswer::NoContact)?;
        Ok((response.status(), response.into_body()))
    }

    fn uri(&self, path: &str) -> Result<Uri, NoAnswer> {
        let uri = Uri::builder().scheme("http").authority(self.authority.as_str()).path_and_query(path);
        uri.build().map_err(|_| NoAnswer::NoContact)
    }
}

struct SystemCalendar;

impl Calendar for SystemCalendar {
    fn today(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    fn read(&self, date: &str) -> Option<Duration> {
        httpdate::parse_http_date(date).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
