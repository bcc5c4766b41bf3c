//! A gateway in front of an app.

use std::net::SocketAddr;

use axum::Router;
use poolgate::serve;
use poolgate_gateway::{App, Gateway};
use poolgate_server::{Poolgate, Settings, settings::UpstreamUrl};
use tokio::net::TcpListener;

pub(crate) use poolgate_test_harness::eventually;

pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    pub(crate) poolgate: Poolgate,
    pub(crate) gateway: Gateway,
}

/// A gateway in front of the app at this address.
pub(crate) async fn front(app: SocketAddr) -> Front {
    front_with(app, |_| {}).await
}

pub(crate) async fn front_with(app: SocketAddr, change: impl FnOnce(&mut Settings)) -> Front {
    front_of(&format!("http://{app}"), change).await
}

/// A gateway in front of the app at this URL.
pub(crate) async fn front_of(url: &str, change: impl FnOnce(&mut Settings)) -> Front {
    let mut settings = Settings::default();
    settings.upstream.url = Some(UpstreamUrl::new(url).expect("a URL"));
    change(&mut settings);
    settings.check().expect("possible settings");
    let app = App::new(&settings).expect("an app");
    let poolgate = Poolgate::builder(app.clone()).upstream(app.clone()).settings(settings).start();
    let gateway = Gateway::new(&poolgate, &app);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (served, handle) = (gateway.clone(), poolgate.clone());
    tokio::spawn(async move {
        let _ = serve(listener, served, &handle.settings().server, handle.closing()).await;
    });
    Front { address, poolgate, gateway }
}

/// An app made with axum.
pub(crate) async fn axum_app(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

impl Front {
    pub(crate) fn in_flight(&self) -> u32 {
        self.poolgate.gate().in_flight()
    }
}
