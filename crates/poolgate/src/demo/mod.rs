//! The demo: a small shop with real tables, and a lab to put it under load.
//!
//! The shop's routes and `lab/hold` use the gate and the pool like those of any app. `lab/load` starts the users and
//! bypasses the gate, because it must answer while they keep everything else busy.

mod data;
mod failure;
mod lab;
pub mod load;
mod random;
mod shop;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Router;
use poolgate_pool::{Lease, Pool};
use poolgate_types::routes;
use sqlx::Any;
use tokio::time;
use tracing::{error, warn};

use self::{failure::Failure, lab::Lab};
use crate::Poolgate;

/// Tag of operations behind the gate.
pub(crate) const GATED_TAG: &str = "gated";

/// The demo's part of the OpenAPI document.
#[derive(Debug, utoipa::OpenApi)]
#[openapi(paths(
    shop::products::search,
    shop::products::page,
    shop::orders::place,
    shop::reports::sales,
    lab::hold,
    lab::report,
    lab::start,
    lab::stop
))]
pub(crate) struct Document;

/// Pause between two attempts to create the data while the database does not answer.
const RETRY: Duration = Duration::from_secs(1);

/// The demo of one server. Cheap to clone.
#[derive(Clone)]
pub struct Demo {
    pool: Pool<Any>,
    prepared: Arc<AtomicBool>,
    lab: Lab,
}

impl Demo {
    /// A demo over `pool`. It holds the readiness of `poolgate` back until the shop's data exists: it is created in the
    /// background or found. While the database does not answer, it retries every second.
    ///
    /// The lab's users call the server at `address`, which must serve this demo. Everything ends when `poolgate`
    /// closes. Must be called in a Tokio runtime.
    pub fn start(pool: Pool<Any>, address: SocketAddr, poolgate: &Poolgate) -> Self {
        let closing = poolgate.closing().clone();
        let demo = Self { pool, prepared: Arc::default(), lab: Lab::new(address, closing.clone()) };
        let work = poolgate.readiness().wait_for("demo data");
        let preparing = demo.clone();
        tokio::spawn(async move {
            if let Some(Err(error)) = closing.run_until_cancelled(preparing.prepare()).await {
                error!(%error, "Demo data: the database rejects it, so the demo will not become ready");
                closing.cancelled().await;
            }
            drop(work);
        });
        demo
    }

    async fn prepare(&self) -> sqlx::Result<()> {
        loop {
            let error = match self.pool.acquire().await {
                Ok(mut connection) => match data::prepare(&mut connection).await {
                    Ok(_) => {
                        self.prepared.store(true, Ordering::Release);
                        return Ok(());
                    }
                    Err(error) if !failure::is_temporary(&error) => return Err(error),
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            warn!(error, "Demo data: the database is not available, retrying");
            time::sleep(RETRY).await;
        }
    }

    fn is_prepared(&self) -> bool {
        self.prepared.load(Ordering::Acquire)
    }

    /// The shop's and the lab's routes; those that use the database are behind `poolgate`'s gate.
    pub fn router(&self, poolgate: &Poolgate) -> Router {
        let gated = Router::new()
            .nest(routes::SHOP_PREFIX, shop::routes())
            .merge(lab::gated_routes())
            .route_layer(poolgate.gate());
        gated.merge(lab::open_routes()).with_state(self.clone())
    }

    /// A connection for one request.
    async fn connection(&self) -> Result<Lease<Any>, Failure> {
        if !self.is_prepared() {
            return Err(Failure::Starting);
        }
        Ok(self.pool.acquire().await?)
    }
}

impl std::fmt::Debug for Demo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Demo").field("prepared", &self.is_prepared()).field("lab", &self.lab).finish_non_exhaustive()
    }
}
