//! An app that embeds Poolgate, and the same handlers without it.

use std::{
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Bytes,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::IntoResponse,
    routing::get,
};
use clap::Args;
use poolgate::serve;
use poolgate_pool::{Pool, sqlite_options};
use poolgate_server::{
    Poolgate, Settings,
    settings::{GateSettings, ServerSettings},
};
use poolgate_types::routes::THROTTLING_CONFIG;
use sqlx::Sqlite;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    lifeline,
    machine::{self, Machine, Process},
    wire::LISTENING,
};

/// A route, and the handler beside which it is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) bare: &'static str,
}

pub(super) const ROUTES: [Route; 3] = [
    Route { name: "config, 200", path: THROTTLING_CONFIG, bare: "/bare/config" },
    Route { name: "config, 304", path: UNCHANGED, bare: "/bare/unchanged" },
    Route { name: "a handler behind the gate", path: "/gated", bare: "/bare" },
];

/// The config route for clients that have the newest one.
const UNCHANGED: &str = "/unchanged";
const START: Duration = Duration::from_secs(20);
/// About what an answer in JSON has.
const ANSWER: &[u8] = &[b'x'; 200];

/// `poolgate-bench-lab routes-app`.
#[derive(Debug, Args)]
pub(crate) struct Options {}

/// A running one; ended when dropped.
pub(super) struct App {
    process: Process,
    pub(super) address: SocketAddr,
}

impl App {
    /// Starts it on the processor of what is measured.
    pub(super) fn start(machine: &Machine) -> Result<Self> {
        let (process, lines) = machine::spawn(machine.command().arg("routes-app"), &machine.server_cpus)?;
        let line = lines.recv_timeout(START).context("the app does not say where it listens")?;
        let address = line.strip_prefix(LISTENING).with_context(|| format!("the app says {line:?}"))?;
        Ok(Self { process, address: address.parse()? })
    }

    pub(super) fn process_id(&self) -> u32 {
        self.process.0.id()
    }
}

/// Serves until its parent ends.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(_: &Options) -> Result<()> {
    lifeline::hold();
    let folder = TempDir::new()?;
    let pool = Pool::<Sqlite>::builder(sqlite_options(folder.path().join("app.db")).create_if_missing(true)).build()?;
    // More permits than users: the gate rejects none.
    let gate = GateSettings { max_concurrent_requests: 1_000, ..GateSettings::default() };
    let poolgate = Poolgate::builder(pool).settings(Settings { gate, ..Settings::default() }).start();
    let document = Bytes::from(serde_json::to_vec(&poolgate.config())?);
    let etag = HeaderValue::try_from(format!("\"{}\"", poolgate.config().etag()))?;

    let config = ([(header::CONTENT_TYPE, "application/json")], document);
    let unchanged = (StatusCode::NOT_MODIFIED, [(header::ETAG, etag.clone())]);
    let ask_anew = middleware::from_fn(move |mut request: Request, next: Next| {
        request.headers_mut().insert(header::IF_NONE_MATCH, etag.clone());
        *request.uri_mut() = http::Uri::from_static(THROTTLING_CONFIG);
        next.run(request)
    });
    let app = Router::new()
        .route("/gated", get(async || ANSWER))
        .layer(poolgate.gate())
        .route("/bare", get(async || ANSWER))
        .route("/bare/config", get(async move || config.into_response()))
        .route("/bare/unchanged", get(async move || unchanged.into_response()))
        .merge(poolgate.routes())
        .route_service(UNCHANGED, tower::Layer::layer(&ask_anew, poolgate.routes()));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{LISTENING}{}", listener.local_addr()?);
    io::stdout().flush()?;
    let _ = serve(listener, app, &ServerSettings::default(), &CancellationToken::new()).await;
    Ok(())
}
