//! Poolgate for axum apps: a [gate] in front of the routes that use the database, health routes beside them, and a
//! monitor that tells every client what it may send.
//!
//! It decides nothing itself (that is `poolgate-control`) and holds no connections (that is `poolgate-pool`): it
//! measures, drives the controller, and carries its decisions to the clients.
//!
//! ```
//! use axum::{Router, routing::get};
//! use poolgate_pool::{Pool, sqlite_options};
//! use poolgate_server::Poolgate;
//! use sqlx::Sqlite;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::TempDir::new()?;
//! # let file = folder.path().join("shop.db");
//! let pool = Pool::<Sqlite>::builder(sqlite_options(file)).build()?;
//! let poolgate = Poolgate::builder(pool.clone()).start();
//!
//! let app: Router = Router::new()
//!     .route("/orders", get(|| async { "orders" }))
//!     .layer(poolgate.gate())
//!     .merge(poolgate.routes());
//! # use tower::ServiceExt;
//! # let ask = |path: &str| app.clone().oneshot(axum::extract::Request::get(path).body(axum::body::Body::empty()).unwrap());
//! # let orders = ask("/orders").await?;
//! # assert!(orders.headers().contains_key("poolgate-config"));
//! # let config = ask("/api/v1/health/database/throttling-config").await?;
//! # assert!(config.headers().contains_key("etag"));
//! # Ok(())
//! # }
//! ```
//!
//! Serve it with the peers' addresses (`into_make_service_with_connect_info::<SocketAddr>()`), or clients cannot be told
//! apart: those that poll are then not counted, and the check of each client's share rests.
//!
//! # What happens to a request
//!
//! 1. [`Gate`](gate::Gate): a client that is told the fair rate and sends more than its share is answered 429; a small body
//!    is read; while the breaker is not closed only probes pass; then a permit, a place in the bounded queue, or 503.
//! 2. The app's handler acquires a connection. Poolgate observes the pool, and learns how long that took since the arrival.
//! 3. The response gets the `Poolgate-Config` header. The permit goes back with the last byte that the app has given, be a
//!    reader as slow as it likes.
//!
//! An app that is called by pages of other origins adds its CORS layer outside of the gate, so that these pages can read
//! rejects: `.layer(poolgate.gate()).layer(cors)`. Preflights pass the gate uncounted.
//!
//! # What happens ten times a second
//!
//! The monitor reads pool, gate and observer, asks the controller, and publishes one config and one status document, each
//! encoded once. Routes and event streams only ever hand these out: looking costs no query.
//!
//! # A server of its own
//!
//! [`app`] puts around all routes what a server needs: bounds, checks of host and site, [problem] documents. The `poolgate`
//! program serves it, with settings from a file, the environment and flags, the operations page and a demo.

mod address;
mod clients;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod gate;
mod history;
mod http;
mod jitter;
mod latency;
mod monitor;
mod observer;
mod poolgate;
pub mod problem;
mod proxies;
mod readiness;
pub mod settings;
mod shared;
mod telemetry;
mod upstream;
mod watched;

pub use self::{
    address::AddressKey,
    http::{GATED_TAG, Readers, app, app_at, gateway_routes},
    poolgate::{Builder, Poolgate},
    readiness::{Readiness, StartUpWork},
    settings::Settings,
    telemetry::MetricsRenderer,
    upstream::Upstream,
    watched::{
        AppMetrics, BlindSpot, BoxError, DedicatedConnection, Figures, HaProxy, PgBouncer, PostgresServer,
        SupportedDatabase, Traffic, Upkeep, Visibility, WatchedPool,
    },
};

/// Compiles the Rust blocks of the README and the documentation.
#[cfg(doctest)]
mod documentation {
    #[doc = include_str!("../../../README.md")]
    mod readme {}
    #[doc = include_str!("../../../docs/benchmarks.md")]
    mod benchmarks {}
    #[doc = include_str!("../../../docs/client.md")]
    mod client {}
    #[doc = include_str!("../../../docs/control-law.md")]
    mod control_law {}
    #[doc = include_str!("../../../docs/gate.md")]
    mod gate {}
    #[doc = include_str!("../../../docs/health.md")]
    mod health {}
    #[doc = include_str!("../../../docs/operating.md")]
    mod operating {}
    #[doc = include_str!("../../../docs/pool.md")]
    mod pool {}
    #[doc = include_str!("../../../docs/soak.md")]
    mod soak {}
    #[doc = include_str!("../../../docs/sources.md")]
    mod sources {}
}
