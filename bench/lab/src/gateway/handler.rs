//! An app that costs little: what a gateway adds to it shows.

use std::{
    convert::Infallible,
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use clap::Args;
use futures_util::{StreamExt, stream};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, time};

use crate::{
    lifeline,
    machine::{self, Machine, Process},
    wire::LISTENING,
};

/// Works for a millisecond, or for as long as a timer takes for that.
pub(super) const MILLISECOND: &str = "/millisecond";
/// Answers at once.
pub(super) const AT_ONCE: &str = "/";
/// An event stream: one event, and then nothing.
pub(super) const EVENTS: &str = "/events";
/// A WebSocket, as far as a proxy sees: an upgrade, and then each byte comes back.
pub(super) const SOCKET: &str = "/socket";

/// 10 MB.
pub(super) const LARGE: &str = "/large";
/// Takes what is sent.
pub(super) const UPLOAD: &str = "/upload";

/// What a server makes of [`KEY`] (RFC 6455, section 1.3); HAProxy looks at it.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The key that clients send.
pub(super) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const START: Duration = Duration::from_secs(20);
/// About what an answer in JSON has.
const ANSWER: &[u8] = &[b'x'; 200];

/// `poolgate-bench-lab handler`.
#[derive(Debug, Args)]
pub(crate) struct Options {}

/// A running one; ended when dropped.
pub(super) struct Handler {
    _process: Process,
    pub(super) address: SocketAddr,
}

impl Handler {
    /// Starts it beside the users.
    pub(super) fn start(machine: &Machine) -> Result<Self> {
        let (process, lines) = machine::spawn(machine.command().arg("handler"), &machine.load_cpus)?;
        let line = lines.recv_timeout(START).context("the handler does not say where it listens")?;
        let address = line.strip_prefix(LISTENING).with_context(|| format!("the handler says {line:?}"))?;
        Ok(Self { _process: process, address: address.parse()? })
    }
}

/// Serves until its parent ends.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(_: &Options) -> Result<()> {
    lifeline::hold();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let app = Router::new()
        .route(AT_ONCE, get(async || ANSWER))
        .route(MILLISECOND, get(millisecond))
        .route(EVENTS, get(events))
        .route(SOCKET, get(socket))
        .route(LARGE, get(large))
        .route(UPLOAD, post(upload));
    println!("{LISTENING}{}", listener.local_addr()?);
    io::stdout().flush()?;
    Ok(axum::serve(listener, app).await?)
}

async fn millisecond() -> &'static [u8] {
    time::sleep(Duration::from_millis(1)).await;
    ANSWER
}

async fn events() -> impl IntoResponse {
    let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"data: 0\n\n"))]);
    // nginx would keep the event back otherwise.
    let head =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::HeaderName::from_static("x-accel-buffering"), "no")];
    (head, Body::from_stream(first.chain(stream::pending())))
}

async fn large() -> Body {
    let piece = Bytes::from_static(&[b'x'; 64 << 10]);
    Body::from_stream(stream::repeat_with(move || Ok::<_, Infallible>(piece.clone())).take(160))
}

async fn upload(body: Body) -> String {
    let pieces = body.into_data_stream().map(|piece| piece.map_or(0, |piece| piece.len()));
    pieces.fold(0, async |all, piece| all + piece).await.to_string()
}

async fn socket(mut request: Request) -> Response {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(socket) = upgrade.await else { return };
        let (mut from, mut to) = tokio::io::split(TokioIo::new(socket));
        // It ends when the other side does.
        let _ = tokio::io::copy(&mut from, &mut to).await;
    });
    let head =
        [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "websocket"), (header::SEC_WEBSOCKET_ACCEPT, ACCEPT)];
    (StatusCode::SWITCHING_PROTOCOLS, head).into_response()
}
