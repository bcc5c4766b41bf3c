//! The server's life: pool, Poolgate, routes, listening, shutdown.

use std::{
    io::{self, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use listenfd::ListenFd;
use poolgate_pool::{Order, Pool, PoolConfig, PostgresSession, Reset, any_options, sqlite_defaults};
use poolgate_server::{
    AppMetrics, Builder, HaProxy, PgBouncer, Poolgate, PostgresServer, Settings, WatchedPool, app,
    settings::{DatabaseSettings, DatabaseUrl, PoolOrder, PoolReset, WatchTarget, WatchUrl},
};
use poolgate_types::{Backend, routes::HEALTH_PREFIX};
use sqlx::Any;
use tokio::net::TcpListener;
use tower::{Layer, util::option_layer};

use super::{
    cluster,
    instance::Instance,
    reload::{ReadAgain, Reload},
    shutdown,
};
use crate::{
    alerts,
    demo::{self, Demo},
    haproxy_agent, page,
    records::{Paths, Records},
    serve::{Served, serve as serve_connections},
    settings::advice,
    telemetry::{Prometheus, descriptors},
    traces::Traces,
};

/// Time for the last records of requests, and for the farewell to the database if requests have used up `server.drain_timeout`.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What machines ask again and again; it is not recorded.
const PROBES: [&str; 4] = ["/livez", "/readyz", "/metrics", "/api/v1/health/ping"];

/// Runs the server until a signal stops it.
pub(super) async fn serve(settings: Settings, again: Option<ReadAgain>) -> anyhow::Result<()> {
    for advice in advice(&settings) {
        tracing::warn!("{advice}");
    }
    descriptors::raise_limit(descriptors_needed(&settings));
    let metrics = Prometheus::install().context("the metrics recorder cannot be installed")?;
    // Before the pool: a port that is in use is the most common mistake.
    let mut handed_over = ListenFd::from_env();
    let (listener, address) = listen(&mut handed_over, Address::Public, &settings).await?;
    let instance = Instance::new();
    let traces = Traces::start(&settings.otlp, instance)?;
    if let Some(url) = &settings.upstream.url {
        tracing::info!(%url, "Poolgate stands in front of an app; it has no pool of its own");
        #[cfg(feature = "gateway")]
        return {
            let (admin_listener, admin_address) = listen(&mut handed_over, Address::Admin, &settings).await?;
            let (public, admin) = ((listener, address), (admin_listener, admin_address));
            super::upstream::serve(public, admin, settings.clone(), (metrics, traces), again).await
        };
        #[cfg(not(feature = "gateway"))]
        bail!("upstream.url: this program was built without the feature `gateway`");
    }
    let (builder, pool) = match &settings.watch.url {
        Some(url) => (watch(url, &settings, &InPlace)?, None),
        None => open_pool(&settings, instance).map(|(builder, pool)| (builder, Some(pool)))?,
    };
    let cluster = cluster::join(&settings, instance, pool.as_ref())?;
    let mut builder = builder.settings(settings.clone()).metrics(metrics);
    if let Some(cluster) = &cluster {
        builder = cluster.join(builder);
    }
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
    let reload = again.map(|again| Reload::new(again, poolgate.clone(), |_| {}));
    shutdown::on_signal(poolgate.clone(), reload)?;
    if let Some(cluster) = &cluster {
        cluster.drain_with(poolgate.closing().clone());
    }
    alerts::start(&poolgate, address)?;
    answer_haproxy(&poolgate).await?;
    #[cfg(unix)]
    super::systemd::follow(&poolgate);
    let closing = poolgate.closing();
    let records = Records::new(&poolgate, traces, Paths { left_out: &PROBES, own: HEALTH_PREFIX.to_owned() });
    let app = option_layer(records.clone()).layer(app);
    let (served, left) =
        tokio::join!(serve_connections(listener, app, &settings.server, closing), time_left(&poolgate));
    let drained = poolgate.shutdown(left().max(LAST_WORDS)).await;
    if let Some(cluster) = cluster {
        cluster.leave().await;
    }
    say_goodbye(records, served, drained.connections_left).await;
    Ok(())
}

/// When the shutdown has begun: what is left of `server.drain_timeout`.
pub(super) async fn time_left(poolgate: &Poolgate) -> impl Fn() -> Duration {
    poolgate.closing().cancelled().await;
    let (begun, timeout) = (Instant::now(), poolgate.settings().server.drain_timeout);
    move || timeout.saturating_sub(begun.elapsed())
}

pub(super) async fn say_goodbye(records: Option<Records>, served: Served, connections_left: u32) {
    if let Some(records) = records {
        records.flush(LAST_WORDS).await;
    }
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

/// Where the server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    Public,
    #[cfg_attr(not(feature = "gateway"), expect(dead_code, reason = "only a gateway has a second address"))]
    Admin,
}

/// Listens, on a socket that was handed over if there is one: the first is the public one, the second the operators'.
/// Such a socket stays open while the program restarts, and those who connect meanwhile wait in it.
async fn listen(
    handed_over: &mut ListenFd,
    which: Address,
    settings: &Settings,
) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let server = &settings.server;
    let (place, key, bind) = match which {
        Address::Public => (0, "server.bind", server.bind),
        Address::Admin => (1, "server.admin_bind", server.admin_bind),
    };
    let listener = handed_over
        .take_tcp_listener(place)
        .with_context(|| format!("socket {} of LISTEN_FDS, for {key}, is not a TCP socket that listens", place + 1))?;
    let listener = match listener {
        Some(listener) => {
            listener.set_nonblocking(true)?;
            tracing::info!("The socket was handed over (LISTEN_FDS): {key} is not used");
            TcpListener::from_std(listener)?
        }
        None => bound(bind, key).await?,
    };
    let address = listener.local_addr().context("the listening address is unknown")?;
    Ok((listener, address))
}

async fn bound(bind: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(bind).await.map_err(|error| match error.kind() {
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
    })
}

/// Answers HAProxy's agent checks, if `haproxy_agent.bind` says where.
pub(super) async fn answer_haproxy(poolgate: &Poolgate) -> anyhow::Result<()> {
    let Some(bind) = poolgate.settings().haproxy_agent.bind else { return Ok(()) };
    let listener = bound(bind, "haproxy_agent.bind").await?;
    tracing::info!("HAProxy's agent checks are answered at {}", listener.local_addr()?);
    haproxy_agent::start(poolgate.clone(), listener);
    Ok(())
}

/// Makes a Poolgate of a source.
pub(super) trait Watcher {
    fn builder(&self, source: impl WatchedPool) -> Builder;
}

/// Requests reach the source without passing this server.
struct InPlace;

impl Watcher for InPlace {
    fn builder(&self, source: impl WatchedPool) -> Builder {
        Poolgate::builder(source)
    }
}

/// A Poolgate of the source that is watched.
pub(super) fn watch(url: &WatchUrl, settings: &Settings, watcher: &impl Watcher) -> anyhow::Result<Builder> {
    let watch = &settings.watch;
    let target = url.parse().context("watch.url")?;
    if settings.database.url.is_some() {
        tracing::warn!("database.url is ignored: with watch.url the server has no pool of its own");
    }
    tracing::info!(%url, "Poolgate watches a source and has no pool of its own");
    Ok(match target {
        WatchTarget::PgBouncer(options) => {
            let mut source = PgBouncer::new(*options).transactions_per_request(watch.transactions_per_request);
            if let Some(connections) = watch.capacity {
                source = source.capacity(connections);
            }
            watcher.builder(source)
        }
        WatchTarget::Postgres(options) => {
            let mut source = PostgresServer::new(*options);
            if let Some(application) = &watch.application {
                source = source.application(application);
            }
            if let Some(sessions) = watch.capacity {
                source = source.capacity(sessions);
            }
            watcher.builder(source)
        }
        WatchTarget::HaProxy(address) => {
            let mut source = HaProxy::new(address);
            if let Some(requests) = watch.capacity {
                source = source.capacity(requests);
            }
            watcher.builder(source)
        }
        WatchTarget::Metrics(address) => {
            let mut source = AppMetrics::new(address).names(watch.metrics.clone());
            if let Some(connections) = watch.capacity {
                source = source.capacity(connections);
            }
            watcher.builder(source)
        }
    })
}

fn open_pool(settings: &Settings, instance: Instance) -> anyhow::Result<(Builder, Pool<Any>)> {
    let Some(url) = &settings.database.url else {
        bail!(
            "database.url is not set: name the database with --database-url, DATABASE_URL or in the settings file, or \
             try --demo, which brings its own. To watch the pool of other apps instead: --watch"
        );
    };
    sqlx::any::install_default_drivers();
    let options = any_options(&connect_url(url, settings.demo.enabled)).context("database.url")?;
    let pool = Pool::<Any>::builder(options)
        .config(pool_config(settings))
        .after_connect(sqlite_defaults)
        .postgres(session(&settings.database, instance))
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
fn session(settings: &DatabaseSettings, instance: Instance) -> PostgresSession {
    let limit = |time: Duration| (!time.is_zero()).then_some(time);
    PostgresSession {
        application_name: Some(format!("{}:{instance}", settings.application_name)),
        statement_timeout: limit(settings.statement_timeout),
        lock_timeout: limit(settings.lock_timeout),
        idle_in_transaction_timeout: limit(settings.idle_in_transaction_timeout),
        client_check_interval: limit(settings.client_check_interval),
        pgbouncer: settings.pgbouncer,
    }
}

fn pool_config(settings: &Settings) -> PoolConfig {
    // One that shares the database begins with a single connection, until it knows its share.
    let is_alone = !settings.cluster.is_on();
    let settings = &settings.pool;
    let (size, max_overflow) = if is_alone { (settings.size, settings.max_overflow) } else { (1, 0) };
    PoolConfig {
        size,
        max_overflow,
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
