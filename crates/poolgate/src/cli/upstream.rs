//! The server's life in front of an app.

use std::net::SocketAddr;

use anyhow::Context;
use poolgate_gateway::{App, Gated, Gateway};
use poolgate_server::{Builder, Poolgate, Settings, WatchedPool, app_at};
use tokio::net::TcpListener;
use tower::{Layer, util::option_layer};

use super::{
    reload::{ReadAgain, Reload},
    run::{Watcher, announce, answer_haproxy, say_goodbye, time_left, watch},
    shutdown,
};
use crate::{
    alerts, page,
    records::{Paths, Records},
    serve::serve as serve_connections,
    telemetry::Prometheus,
    traces::Traces,
};

/// The requests for the source pass the gate.
struct BehindGate;

impl Watcher for BehindGate {
    fn builder(&self, source: impl WatchedPool) -> Builder {
        Poolgate::builder(Gated(source))
    }
}

/// Passes requests on to the app until a signal ends the process. What is for operators is served apart.
pub(super) async fn serve(
    (listener, address): (TcpListener, SocketAddr),
    (admin_listener, admin_address): (TcpListener, SocketAddr),
    settings: Settings,
    (metrics, traces): (Prometheus, Option<Traces>),
    again: Option<ReadAgain>,
) -> anyhow::Result<()> {
    let app = App::new(&settings).context("upstream.url is not set")?;
    let builder = match &settings.watch.url {
        Some(url) => watch(url, &settings, &BehindGate)?,
        None => Poolgate::builder(app.clone()),
    };
    let poolgate = builder.upstream(app.clone()).settings(settings.clone()).metrics(metrics).start();
    let gateway = Gateway::new(&poolgate, &app);
    let admin = app_at(&poolgate, page::router(settings.server.www.clone()), admin_address);
    announce(address)?;
    tracing::info!("Poolgate for operators: http://{admin_address} (server.admin_bind)");
    let reloaded = gateway.clone();
    let reload = again.map(|again| Reload::new(again, poolgate.clone(), move |settings| reloaded.reload(settings)));
    shutdown::on_signal(poolgate.clone(), reload)?;
    alerts::start(&poolgate, address)?;
    answer_haproxy(&poolgate).await?;
    #[cfg(unix)]
    super::systemd::follow(&poolgate);
    let closing = poolgate.closing();
    // The app's own probes are requests as any other.
    let own = settings.gateway.prefix.clone();
    let records = Records::new(&poolgate, traces, Paths { left_out: &[], own });
    let public = option_layer(records.clone()).layer(gateway.clone());
    let (served, _, left) = tokio::join!(
        serve_connections(listener, public, &settings.server, closing),
        serve_connections(admin_listener, admin, &settings.server, closing),
        time_left(&poolgate),
    );
    gateway.drain(left()).await;
    poolgate.shutdown(left()).await;
    say_goodbye(records, served, 0).await;
    Ok(())
}
