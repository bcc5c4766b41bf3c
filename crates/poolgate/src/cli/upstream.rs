//! The server's life in front of an app.

use std::net::SocketAddr;

use anyhow::Context;
use poolgate_gateway::{App, Gated, Gateway};
use poolgate_server::{Poolgate, Settings, app_at};
use tokio::net::TcpListener;

use super::{
    run::{announce, listen, say_goodbye, time_left, watch},
    shutdown,
};
use crate::{page, serve::serve as serve_connections, telemetry::Prometheus};

/// Passes requests on to the app until a signal ends the process. What is for operators is served apart.
pub(super) async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    settings: Settings,
    metrics: Prometheus,
) -> anyhow::Result<()> {
    let (admin_listener, admin_address) = listen(settings.server.admin_bind, "server.admin_bind").await?;
    let app = App::new(&settings).context("upstream.url is not set")?;
    let builder = match &settings.watch.url {
        Some(url) => {
            watch(url, &settings, |source| Poolgate::builder(Gated(source)), |source| Poolgate::builder(Gated(source)))?
        }
        None => Poolgate::builder(app.clone()),
    };
    let poolgate = builder.settings(settings.clone()).metrics(metrics).start();
    let gateway = Gateway::new(&poolgate, &app);
    let admin = app_at(&poolgate, page::router(settings.server.www.clone()), admin_address);
    announce(address)?;
    tracing::info!("Poolgate for operators: http://{admin_address} (server.admin_bind)");
    shutdown::on_signal(poolgate.clone())?;
    let closing = poolgate.closing();
    let (served, _, left) = tokio::join!(
        serve_connections(listener, gateway.clone(), &settings.server, closing),
        serve_connections(admin_listener, admin, &settings.server, closing),
        time_left(&poolgate),
    );
    gateway.drain(left()).await;
    poolgate.shutdown(left()).await;
    say_goodbye(served, 0);
    Ok(())
}
