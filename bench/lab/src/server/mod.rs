//! The server under test: an axum app with one route that needs the database.

mod limiters;
mod recorder;
mod token;

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::{Extension, State},
    http::StatusCode,
    middleware,
    routing::{MethodRouter, get},
};
use clap::Args;
use poolgate::{demo::Random, page, serve};
use poolgate_pool::{Pool, PoolConfig};
use poolgate_server::{Poolgate, settings::ServerSettings};
use sqlx::{Postgres, postgres::PgConnectOptions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::recorder::{Arrival, Recorder};
use crate::{
    lifeline,
    wire::{self, Limiter},
};

/// `poolgate-bench-lab server`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What stands in front of the route.
    #[arg(long)]
    limiter: Limiter,
    #[arg(long)]
    database_url: String,
    /// Mean of the exponentially distributed time for which a request holds its connection, ms.
    #[arg(long, default_value_t = 50.0)]
    hold_ms: f64,
    /// Equal seeds hold for the same times in the same order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Whether a signed token is checked before the limiter sees a request.
    #[arg(long)]
    checks_tokens: bool,
    /// Folder from which browsers get the client's package.
    #[arg(long)]
    www: Option<PathBuf>,
}

/// What the route works with.
#[derive(Clone)]
struct App {
    pool: Pool<Postgres>,
    recorder: Arc<Recorder>,
    holds: Arc<Mutex<Random>>,
    mean_hold: Duration,
}

/// Serves until the process is ended.
#[tokio::main]
pub(crate) async fn run(options: &Options) -> Result<()> {
    lifeline::hold();
    let pool = open_pool(options).await?;
    let app = App {
        pool: pool.clone(),
        recorder: Arc::default(),
        holds: Arc::new(Mutex::new(Random::new(options.seed))),
        mean_hold: Duration::from_secs_f64(options.hold_ms / 1000.0),
    };
    let poolgate =
        limiters::poolgate_settings(options.limiter).map(|settings| Poolgate::builder(pool).settings(settings).start());
    tokio::spawn(Arc::clone(&app.recorder).watch(poolgate.clone()));

    let work = limiters::limit(get(work), options.limiter, poolgate.as_ref());
    let work = if options.checks_tokens { token::checked(work)? } else { work };
    let mut router = router(&app, work, poolgate.as_ref());
    if options.www.is_some() {
        router = router.merge(page::router(options.www.clone()));
    }
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = listener.local_addr()?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}{address}", wire::LISTENING)?;
    stdout.flush()?;
    drop(stdout);
    let _ = serve(listener, router, &ServerSettings::default(), &CancellationToken::new()).await;
    Ok(())
}

fn router(app: &App, work: MethodRouter<App>, poolgate: Option<&Poolgate>) -> Router {
    let counted = work.layer(middleware::from_fn_with_state(Arc::clone(&app.recorder), recorder::count));
    let router = Router::new().route(wire::WORK, counted).route(wire::FIGURES, get(figures)).with_state(app.clone());
    match poolgate {
        Some(poolgate) => router.merge(poolgate.routes()),
        None => router,
    }
}

async fn work(State(app): State<App>, Extension(arrival): Extension<Arrival>) -> Result<&'static str, StatusCode> {
    let mut connection = app.pool.acquire().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    app.recorder.acquired(arrival);
    let hold = app.next_hold();
    let sleep = sqlx::query("SELECT pg_sleep($1)").bind(hold.as_secs_f64());
    sleep.execute(&mut connection).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok("done")
}

async fn figures(State(app): State<App>) -> Json<wire::ServerFigures> {
    Json(app.recorder.figures())
}

impl App {
    fn next_hold(&self) -> Duration {
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        self.mean_hold.mul_f64(holds.exponential(1.0))
    }
}

/// A pool of this size with every connection open.
async fn open_pool(options: &Options) -> Result<Pool<Postgres>> {
    let config = PoolConfig { size: wire::CONNECTIONS, max_overflow: 0, ..PoolConfig::default() };
    let connect = PgConnectOptions::from_str(&options.database_url)?;
    let pool = Pool::<Postgres>::builder(connect).config(config).build()?;
    let mut leases = Vec::new();
    for _ in 0..wire::CONNECTIONS {
        leases.push(pool.acquire().await.context("the database does not answer")?);
    }
    Ok(pool)
}
