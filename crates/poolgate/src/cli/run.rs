//! The server's life: pool, Poolgate, routes, listening, shutdown.

use std::{
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    net::SocketAddr,
    process,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use poolgate_pool::{Order, Pool, PoolConfig, PostgresSession, Reset, any_options, sqlite_defaults};
use poolgate_server::{
    Builder, PgBouncer, Poolgate, PostgresServer, Settings, app,
    settings::{DatabaseSettings, DatabaseUrl, PoolOrder, PoolReset, PoolSettings, WatchUrl, WatchedKind},
};
use poolgate_types::Backend;
use sqlx::Any;
use tokio::net::TcpListener;

use super::shutdown;
use crate::{
    demo::{self, Demo},
    page,
    serve::{Served, serve as serve_connections},
    settings::advice,
    telemetry::{Prometheus, descriptors},
};

/// Time for the farewell to the database if requests have used up `server.drain_timeout`.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs the server until a signal stops it.
pub(super) async fn serve(settings: Settings) -> anyhow::Result<()> {
    for advice in advice(&settings) {
        tracing::warn!("{advice}");
    }
    descriptors::raise_limit(descriptors_needed(&settings));
    let metrics = Prometheus::install().context("the metrics recorder cannot be installed")?;
    // Before the pool: a port that is in use is the most common mistake.
    let (listener, address) = listen(settings.server.bind, "server.bind").await?;
    if let Some(url) = &settings.upstream.url {
        tracing::info!(%url, "Poolgate stands in front of an app; it has no pool of its own");
        #[cfg(feature = "gateway")]
        return super::upstream::serve(listener, address, settings.clone(), metrics).await;
        #[cfg(not(feature = "gateway"))]
        bail!("upstream.url: this program was built without the feature `gateway`");
    }
    let (builder, pool) = match &settings.watch.url {
        Some(url) => (watch(url, &settings, Poolgate::builder, Poolgate::builder)?, None),
        None => open_pool(&settings).map(|(builder, pool)| (builder, Some(pool)))?,
    };
    let mut builder = builder.settings(settings.clone()).metrics(metrics);
    if settings.demo.enabled {
        builder = builder.openapi(demo::openapi());
    }
    let poolgate = builder.start();
    let mut own = page::router(settings.server.www.clone());
    if let (Some(pool), true) = (pool, settings.demo.enabled) {
        own = own.merge(Demo::start(pool, address, &poolgate).router(&poolgate));
    }
    let app = app(&poolgate, own);
    announce(address)?;
    shutdown::on_signal(poolgate.clone())?;
    let closing = poolgate.closing();
    let (served, left) =
        tokio::join!(serve_connections(listener, app, &settings.server, closing), time_left(&poolgate));
    let drained = poolgate.shutdown(left().max(LAST_WORDS)).await;
    say_goodbye(served, drained.connections_left);
    Ok(())
}

/// When the shutdown has begun: what is left of `server.drain_timeout`.
pub(super) async fn time_left(poolgate: &Poolgate) -> impl Fn() -> Duration {
    poolgate.closing().cancelled().await;
    let (begun, timeout) = (Instant::now(), poolgate.settings().server.drain_timeout);
    move || timeout.saturating_sub(begun.elapsed())
}

pub(super) fn say_goodbye(served: Served, connections_left: u32) {
    match served {
        Served::Drained => tracing::info!(connections_left, "Poolgate stopped"),
        Served::CutOff => {
            tracing::warn!(connections_left, "Poolgate stopped; requests were cut off at server.drain_timeout");
        }
    }
}

/// Connections from clients, those to the database or the app, and some for files and the system's own.
fn descriptors_needed(settings: &Settings) -> u64 {
    let pool_size = settings.pool.size.max(settings.sizing.ceiling);
    let upstream = match &settings.upstream.url {
        // Those in use, those that are kept, and one for each stream.
        Some(_) => u64::from(2 * settings.gate.max_concurrent_requests + settings.upstream.max_streams),
        None => u64::from(pool_size + settings.pool.max_overflow),
    };
    u64::from(settings.server.max_connections) + upstream + 64
}

pub(super) async fn listen(bind: SocketAddr, key: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(bind).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "port {} is in use: another program, perhaps another Poolgate, listens on {bind}. Stop it or choose another \
             port{} (0 lets the system choose)",
            bind.port(),
            if key == "server.bind" { " with --port N".to_owned() } else { format!(": {key}") }
        ),
        io::ErrorKind::PermissionDenied => anyhow::anyhow!(
            "no permission to listen on {bind}: ports below 1024 need a privilege. Choose another port with --port N"
        ),
        _ => anyhow::anyhow!("cannot listen on {bind} ({key}): {error}"),
    })?;
    let address = listener.local_addr().context("the listening address is unknown")?;
    Ok((listener, address))
}

/// The source that is watched, in the hands of those who make a Poolgate of it.
pub(super) fn watch(
    url: &WatchUrl,
    settings: &Settings,
    pgbouncer: impl FnOnce(PgBouncer) -> Builder,
    postgres: impl FnOnce(PostgresServer) -> Builder,
) -> anyhow::Result<Builder> {
    let watch = &settings.watch;
    let (kind, options) = url.parse().context("watch.url")?;
    if settings.database.url.is_some() {
        tracing::warn!("database.url is ignored: with watch.url the server has no pool of its own");
    }
    tracing::info!(%url, "Poolgate watches a source and has no pool of its own");
    Ok(match kind {
        WatchedKind::PgBouncer => {
            let mut source = PgBouncer::new(options).transactions_per_request(watch.transactions_per_request);
            if let Some(connections) = watch.capacity {
                source = source.capacity(connections);
            }
            pgbouncer(source)
        }
        WatchedKind::Postgres => {
            let mut source = PostgresServer::new(options);
            if let Some(application) = &watch.application {
                source = source.application(application);
            }
            if let Some(sessions) = watch.capacity {
                source = source.capacity(sessions);
            }
            postgres(source)
        }
    })
}

fn open_pool(settings: &Settings) -> anyhow::Result<(Builder, Pool<Any>)> {
    let Some(url) = &settings.database.url else {
        bail!(
            "database.url is not set: name the database with --database-url, DATABASE_URL or in the settings file, or \
             try --demo, which brings its own. To watch the pool of other apps instead: --watch"
        );
    };
    sqlx::any::install_default_drivers();
    let options = any_options(&connect_url(url, settings.demo.enabled)).context("database.url")?;
    let pool = Pool::<Any>::builder(options)
        .config(pool_config(&settings.pool))
        .after_connect(sqlite_defaults)
        .postgres(session(&settings.database))
        .build()?;
    Ok((Poolgate::builder(pool.clone()).backend(url.backend()), pool))
}

/// The demo creates its SQLite file; otherwise a missing file is an error.
fn connect_url(url: &DatabaseUrl, demo: bool) -> String {
    let text = url.expose();
    let create = demo && url.backend() == Backend::Sqlite && !text.contains('?');
    if create { format!("{text}?mode=rwc") } else { text.to_owned() }
}

/// Connection options for PostgreSQL. The application name is unique to this process: cleanups end only sessions with
/// this name.
fn session(settings: &DatabaseSettings) -> PostgresSession {
    let instance = RandomState::new().hash_one(process::id()) as u32;
    let limit = |time: Duration| (!time.is_zero()).then_some(time);
    PostgresSession {
        application_name: Some(format!("{}:{instance:08x}", settings.application_name)),
        statement_timeout: limit(settings.statement_timeout),
        lock_timeout: limit(settings.lock_timeout),
        idle_in_transaction_timeout: limit(settings.idle_in_transaction_timeout),
        client_check_interval: limit(settings.client_check_interval),
        pgbouncer: settings.pgbouncer,
    }
}

fn pool_config(settings: &PoolSettings) -> PoolConfig {
    PoolConfig {
        size: settings.size,
        max_overflow: settings.max_overflow,
        acquire_timeout: settings.timeout,
        connect_timeout: settings.connect_timeout,
        // Defaults to the pool's size, even when that changes.
        min_idle: settings.min_idle.unwrap_or(u32::MAX),
        max_connecting: settings.max_connecting,
        connect_rate: settings.connect_rate,
        max_lifetime: (!settings.max_lifetime.is_zero()).then_some(settings.max_lifetime),
        reset: match settings.reset {
            PoolReset::Auto => Reset::Auto,
            PoolReset::Always => Reset::Always,
            PoolReset::Never => Reset::Never,
        },
        pre_ping_idle: settings.pre_ping_idle,
        order: match settings.order {
            PoolOrder::Lifo => Order::Lifo,
            PoolOrder::Fifo => Order::Fifo,
        },
        ..PoolConfig::default()
    }
}

/// The only line on stdout: users click on it, and parent processes read the port from it.
pub(super) fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "Poolgate listening on http://{address}")?;
    stdout.flush()
}
