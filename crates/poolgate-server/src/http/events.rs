//! The event stream: the config at once and on every change.
//!
//! Each config and status is encoded once for all streams. A slow reader gets the newest document when it can read
//! again, never a backlog.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use poolgate_types::{
    Bye, Heartbeat, Problem, codes,
    timing::{self, HEARTBEAT, HEARTBEAT_ENFORCED, STATUS_INTERVAL},
};
use serde::Deserialize;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{self, Instant},
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::{
    Poolgate, Settings,
    clients::{ClientId, Presence, TooManyStreams},
    monitor::{ConfigDocument, StatusDocument, event},
    problem,
};

/// Clients that may come back in a second; with more of them the time within which they come back is longer.
const RETURNS_PER_SECOND: u32 = 1000;

/// Query parameters of the stream.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wishes {
    /// `config`, `status`, or both with a comma. Default: `config`.
    topics: Option<String>,
    /// A random id that the client generates, so that it counts once: 1 to 64 characters of `A-Z a-z 0-9 - _`.
    client: Option<String>,
}

/// The event stream: `config`, `status`, `heartbeat`, and `bye` at shutdown. The first event is always the config.
#[utoipa::path(
    get,
    path = poolgate_types::routes::EVENTS,
    tag = "health",
    params(Wishes),
    responses(
        (status = 200, description = "The stream", body = Vec<StreamEvent>, content_type = "text/event-stream"),
        (status = 400, description = "An invalid topic or client id", body = Problem),
        (status = 503, description = "The limit of open streams is reached, in total or for this address", body = Problem),
    )
)]
pub(super) async fn events(
    State(poolgate): State<Poolgate>,
    wishes: Result<Query<Wishes>, QueryRejection>,
    extensions: Extensions,
    headers: HeaderMap,
) -> Response {
    let (status, client) =
        match wishes.map_err(|rejection| rejection.body_text()).and_then(|Query(wishes)| wishes.read()) {
            Ok(wishes) => wishes,
            Err(detail) => {
                return problem::response(StatusCode::BAD_REQUEST, "invalid_request", "Invalid request", detail);
            }
        };
    let shared = poolgate.shared();
    let Ok(permit) = Arc::clone(&shared.streams).try_acquire_owned() else {
        let limit = poolgate.settings().events.max_streams;
        return too_many(
            &poolgate,
            &format!("The limit of {limit} open event streams is reached (events.max_streams)."),
        );
    };
    if shared.closing.is_cancelled() {
        return problem::with_retry_after(problem::unavailable("The server is shutting down."), 3);
    }
    let address = shared.proxies.sender(&extensions, &headers).map(|sender| sender.address);
    let most = most_per_address(&shared.settings);
    let presence = match shared.clients.opened(client, address, most) {
        Ok(presence) => presence,
        Err(TooManyStreams) => {
            let detail = format!(
                "The limit of {most} open event streams per address is reached (events.max_streams_per_address)."
            );
            return too_many(&poolgate, &detail);
        }
    };
    let subscription = Subscription {
        config: shared.published.config.subscribe(),
        status: status.then(|| shared.published.status.subscribe()),
        presence,
        closing: Box::pin(shared.closing.clone().cancelled_owned()),
        begun: false,
        over: false,
        beat: Instant::now(),
        status_due: Instant::now(),
        _permit: permit,
        poolgate: poolgate.clone(),
    };
    let frames = stream::unfold(subscription, async |mut subscription| {
        let frame = subscription.next().await?;
        Some((Ok::<_, Infallible>(frame), subscription))
    });
    let mut response = Body::from_stream(frames).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Compressing proxies buffer events until a block is full unless this forbids transformation.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // nginx buffers events unless this disables it.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// One event of the stream, as an `EventSource` reports it.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "only for the OpenAPI document; events are written as bytes")]
struct StreamEvent {
    event: StreamEventKind,
    /// JSON: a ThrottlingConfig for `config`, a Status for `status`, `epoch`, `version` and `return_within_ms` for
    /// `heartbeat`, `return_within_ms` for `bye`.
    data: String,
    /// With the first event: reconnect time in milliseconds.
    retry: Option<u64>,
}

#[derive(Debug, utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only for the OpenAPI document; events are written as bytes")]
enum StreamEventKind {
    Config,
    Status,
    Heartbeat,
    Bye,
}

impl Wishes {
    /// Whether the status is wanted, and the client's id.
    fn read(self) -> Result<(bool, Option<ClientId>), String> {
        let mut status = false;
        for topic in self.topics.as_deref().unwrap_or("config").split(',').map(str::trim) {
            match topic {
                "config" => {}
                "status" => status = true,
                _ => return Err("`topics` must be `config`, `status`, or `config,status`".to_owned()),
            }
        }
        let client = self.client.map(|id| id.parse::<ClientId>().map_err(|invalid| invalid.to_string())).transpose()?;
        Ok((status, client))
    }
}

/// One client's stream.
struct Subscription {
    config: watch::Receiver<Arc<ConfigDocument>>,
    status: Option<watch::Receiver<Arc<StatusDocument>>>,
    presence: Presence,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    begun: bool,
    over: bool,
    /// When a config or heartbeat was last sent.
    beat: Instant,
    status_due: Instant,
    _permit: OwnedSemaphorePermit,
    /// An open stream keeps Poolgate running.
    poolgate: Poolgate,
}

impl Subscription {
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        if !self.begun {
            self.begun = true;
            // For clients that rely on their `EventSource`, which adds no jitter.
            let spread = self.poolgate.shared().jitter.below(self.return_within_ms().into());
            let retry = u64::from(timing::milliseconds(timing::RETRY)) + spread;
            let retry = format!("retry: {retry}\n");
            // A replica that has just started may not have heard the others yet.
            let config = if self.is_known() { self.newest_config() } else { Bytes::from_static(b"\n") };
            return Some([retry.as_bytes(), &config].concat().into());
        }
        let interval = if self.config.borrow().config.enforced { HEARTBEAT_ENFORCED } else { HEARTBEAT };
        let (heartbeat_due, status_due) = (self.beat + interval, self.status_due);
        tokio::select! {
            biased;
            () = &mut self.closing => {
                self.over = true;
                Some(event("bye", &Bye { return_within_ms: self.return_within_ms() }))
            }
            Ok(()) = self.config.changed() => Some(self.newest_config()),
            Some(status) = next_status(self.status.as_mut(), status_due) => {
                self.status_due = Instant::now() + STATUS_INTERVAL;
                Some(status)
            }
            () = time::sleep_until(heartbeat_due), if self.is_known() => {
                self.beat = Instant::now();
                Some(self.heartbeat())
            }
        }
    }

    /// The current version, and the reconnect window.
    fn heartbeat(&self) -> Bytes {
        let at = self.config.borrow().config.at();
        event("heartbeat", &Heartbeat { at, return_within_ms: self.return_within_ms() })
    }

    fn is_known(&self) -> bool {
        self.config.borrow().is_known()
    }

    fn return_within_ms(&self) -> u32 {
        let streams = u64::from(self.poolgate.shared().clients.streaming());
        let spread = u32::try_from(streams * 1000 / u64::from(RETURNS_PER_SECOND)).unwrap_or(u32::MAX);
        spread.max(timing::milliseconds(timing::RETURN_WITHIN))
    }

    fn newest_config(&mut self) -> Bytes {
        let document = self.config.borrow_and_update();
        self.presence.sent(document.config.version);
        self.beat = Instant::now();
        document.event.clone()
    }
}

/// The next status, not before it is due; pending for ever if it is not wanted.
async fn next_status(status: Option<&mut watch::Receiver<Arc<StatusDocument>>>, due: Instant) -> Option<Bytes> {
    let status = status?;
    time::sleep_until(due).await;
    status.changed().await.ok()?;
    Some(status.borrow_and_update().event.clone())
}

/// One address leaves half of the connections to others, even if the setting is higher.
fn most_per_address(settings: &Settings) -> u32 {
    settings.events.max_streams_per_address.min(settings.server.max_connections.div_ceil(2))
}

fn too_many(poolgate: &Poolgate, detail: &str) -> Response {
    let detail = format!("{detail} Poll the config instead, or try again later.");
    let response =
        problem::response(StatusCode::SERVICE_UNAVAILABLE, codes::DATABASE_UNAVAILABLE, "Too many streams", detail);
    problem::with_retry_after(response, 10 + poolgate.shared().jitter.below(20))
}
