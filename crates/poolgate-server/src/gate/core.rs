//! The parts of a gate that all its clones share.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use poolgate_control::gate::{GateOrders, Occupancy};
use poolgate_types::ThrottlingConfig;
use tokio_util::sync::CancellationToken;

use super::{
    arrival::{Callers, Preflights},
    hold::SlowReaders,
    limiter::Limiter,
    orders::{Circuit, Orders},
    request_body::Uploads,
    route_figures::RouteFigures,
    routes::Routes,
    tally::Totals,
};
use crate::{
    clients::Registry,
    jitter::Jitter,
    latency::Latency,
    proxies::Proxies,
    settings::{GateSettings, ServerSettings},
};

/// The parts of a gate that all its clones share.
#[derive(Debug)]
pub(crate) struct Core {
    orders: ArcSwap<Orders>,
    pub(super) preflights: Preflights,
    pub(super) callers: Callers,
    pub(super) uploads: Uploads,
    pub(super) circuit: Circuit,
    pub(super) limiter: Arc<Limiter>,
    pub(super) slow_readers: Arc<SlowReaders>,
    pub(super) responses: Latency,
    pub(super) jitter: Arc<Jitter>,
    pub(super) routes: Arc<Routes>,
    pub(super) route_figures: Arc<RouteFigures>,
    /// Whether answers say how long they waited.
    pub(super) server_timing: bool,
}

/// What a gate needs from the server around it.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) clients: Registry,
    pub(crate) jitter: Arc<Jitter>,
    /// Time for a small request body, or for one piece of another.
    pub(crate) body_timeout: Duration,
    /// Cancelled when the shutdown begins.
    pub(crate) closing: CancellationToken,
}

impl Default for Surroundings {
    /// Those of a gate without a server.
    fn default() -> Self {
        let ServerSettings { trusted_proxies, body_timeout, .. } = ServerSettings::default();
        Self {
            proxies: Arc::new(Proxies::new(trusted_proxies)),
            clients: Registry::default(),
            jitter: Arc::new(Jitter::new()),
            body_timeout,
            closing: CancellationToken::new(),
        }
    }
}

impl Core {
    pub(crate) fn new(settings: &GateSettings, surroundings: Surroundings) -> Arc<Self> {
        let Surroundings { proxies, clients, jitter, body_timeout, closing } = surroundings;
        let limiter = Limiter::new(settings);
        Arc::new(Self {
            orders: ArcSwap::default(),
            preflights: Preflights::new(settings.max_concurrent_requests),
            callers: Callers::new(proxies, clients, settings.max_clients_per_address),
            uploads: Uploads::new(body_timeout, closing),
            circuit: Circuit::new(Instant::now()),
            slow_readers: SlowReaders::new(Arc::clone(&limiter), settings.timeout),
            limiter,
            responses: Latency::default(),
            routes: Arc::default(),
            route_figures: Arc::default(),
            server_timing: settings.server_timing,
            jitter,
        })
    }

    /// Carries out a decision of the control loop: from now on the gate keeps to these orders, and new requests are
    /// judged and stamped by them.
    pub(crate) fn obey(&self, config: &ThrottlingConfig, orders: &GateOrders) {
        self.limiter.obey(orders);
        self.orders.store(Arc::new(Orders::new(config, *orders)));
    }

    /// Changes the bounds of the queue. The permits are an order of the control loop.
    pub(crate) fn set_queue(&self, settings: &GateSettings) {
        self.limiter.set_queue(settings);
    }

    /// The orders in force.
    pub(super) fn orders(&self) -> Arc<Orders> {
        self.orders.load_full()
    }

    /// Sets how many connections of the pool are in use.
    pub(crate) fn set_connections(&self, in_use: u32) {
        self.slow_readers.set_connections(in_use);
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        self.limiter.occupancy()
    }

    pub(crate) fn totals(&self) -> Totals {
        self.limiter.tally().totals()
    }

    /// The requests in flight by route, as far as the gate was asked by hand.
    pub(crate) fn routes(&self) -> &Routes {
        &self.routes
    }

    /// What the requests of each route met.
    pub(crate) fn route_figures(&self) -> &Arc<RouteFigures> {
        &self.route_figures
    }

    /// Times from arrival to the response's head.
    pub(crate) fn responses(&self) -> &Latency {
        &self.responses
    }
}
