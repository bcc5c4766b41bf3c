//! An app's own pool, as its metrics show it.

mod pools;
mod text;

use std::time::Duration;

use axum::body::Body;
use futures_core::future::BoxFuture;
use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use poolgate_pool::ConnectHistory;
use poolgate_types::Backend;
use tokio::{net::TcpStream, time};

use super::{
    BlindSpot, Figures, Visibility, WatchedPool,
    record::{Record, Trouble},
};
use crate::settings::{MetricNames, MetricsAddress};

/// Time between two readings; the app composes the text each time.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a reading may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an app's metrics.
const MOST_BYTES: usize = 8 << 20;

/// Watches the pool of an app in its metrics.
///
/// They are in Prometheus' text format, with the names of OpenTelemetry, Micrometer, HikariCP or Go, or with names that
/// [`names`](Self::names) maps.
///
/// Like [`PostgresServer`](super::PostgresServer) it shows how much of the pool is in use, but not how many requests come; a
/// gateway knows those.
#[derive(Debug)]
pub struct AppMetrics {
    address: MetricsAddress,
    names: MetricNames,
    capacity: Option<u32>,
    record: Record,
}

impl AppMetrics {
    /// Watches the metrics at this address. Nothing happens before they are read.
    pub fn new(address: MetricsAddress) -> Self {
        let record = Record::new(address.to_string(), INTERVAL);
        Self { address, names: MetricNames::default(), capacity: None, record }
    }

    /// The names of the series that count. Default: those that libraries use.
    #[must_use]
    pub fn names(mut self, names: MetricNames) -> Self {
        self.names = names;
        self
    }

    /// The most connections that can be in use. Default: what the metrics show.
    #[must_use]
    pub fn capacity(mut self, connections: u32) -> Self {
        self.capacity = Some(connections);
        self
    }

    async fn read(&self) {
        if !self.record.is_due() {
            return;
        }
        let reading = async { pools::read(&self.ask().await?, &self.names) };
        // An app that is too busy to compose its metrics works: that is no sign of a database that is gone.
        let late =
            |_| Err(Trouble::Unclear(format!("the app did not show its metrics within {} s", PATIENCE.as_secs())));
        match time::timeout(PATIENCE, reading).await.unwrap_or_else(late) {
            Ok(reading) => {
                let figures = reading.figures(self.capacity);
                let is_unlimited = figures.capacity == 0;
                self.record.misses(is_unlimited.then(|| {
                    "the metrics do not show how many connections the pool may have: set watch.capacity".to_owned()
                }));
                self.record.shows(figures);
                self.record.succeeded();
            }
            Err(trouble) => self.record.failed(&trouble, None),
        }
    }

    async fn ask(&self) -> Result<String, Trouble> {
        let unclear = |error: &dyn std::fmt::Display| Trouble::Unclear(format!("the metrics cannot be read: {error}"));
        let stream = TcpStream::connect(self.address.authority.as_str()).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| unclear(&error))?;
        let request = Request::get(self.address.target.as_str())
            .header(header::HOST, self.address.authority.as_str())
            .header(header::ACCEPT, "text/plain;version=0.0.4")
            .header(header::CONNECTION, "close")
            .body(Body::empty())
            .map_err(|error| unclear(&error))?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| unclear(&error))?;
            if !response.status().is_success() {
                let status = response.status();
                return Err(Trouble::Unclear(format!("the app answers {status} where its metrics should be")));
            }
            let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
            let body = body.map_err(|error| Trouble::Unclear(format!("the metrics cannot be read: {error}")))?;
            String::from_utf8(body.to_bytes().into())
                .map_err(|_| Trouble::Unclear("the app's metrics are not text".to_owned()))
        };
        tokio::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // It ends with the app's last byte, which the answer may still have to take.
            _ = connection => answer.await,
        }
    }
}

impl WatchedPool for AppMetrics {
    fn backend(&self) -> Option<Backend> {
        None
    }

    fn figures(&self) -> Figures {
        self.record.figures()
    }

    fn connect_history(&self) -> ConnectHistory {
        self.record.contact()
    }

    fn refresh(&self) -> Option<BoxFuture<'_, ()>> {
        Some(Box::pin(self.read()))
    }

    fn visibility(&self) -> Visibility {
        Visibility::Hidden
    }

    fn blind_spot(&self) -> Option<BlindSpot> {
        self.record.blind_spot()
    }
}
