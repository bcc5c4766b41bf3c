//! The demo: a small shop with real tables, and a lab to put it under load.
//!
//! The shop's routes and `lab/hold` use the gate and the pool like those of any app. `lab/load` starts the users and
//! bypasses the gate, because it must answer while they keep everything else busy.

mod data;
mod failure;
mod lab;
pub mod load;
mod random;
pub mod routes;
mod shop;
mod whole;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::MethodRouter};
use poolgate_pool::{Lease, Pool};
use poolgate_server::Poolgate;
use sqlx::Any;
use tokio::time;
use tracing::{error, warn};

pub use self::random::Random;
use self::{failure::Failure, lab::Lab};

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
struct Document;

/// The demo's OpenAPI document.
pub fn openapi() -> serde_json::Value {
    serde_json::to_value(<Document as utoipa::OpenApi>::openapi()).unwrap_or_default()
}

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
        let router = |table: Vec<(String, MethodRouter<Self>)>| {
            table.into_iter().fold(Router::new(), |router, (path, methods)| router.route(&path, methods))
        };
        let gated = router(gated_routes()).route_layer(poolgate.gate());
        gated.merge(router(open_routes())).with_state(self.clone())
    }

    /// A connection for one request.
    async fn connection(&self) -> Result<Lease<Any>, Failure> {
        if !self.is_prepared() {
            return Err(Failure::Starting);
        }
        Ok(self.pool.acquire().await?)
    }
}

/// The routes that use the database, with their methods.
fn gated_routes() -> Vec<(String, MethodRouter<Demo>)> {
    let shop = shop::routes().into_iter().map(|(path, methods)| (format!("{}{path}", routes::SHOP_PREFIX), methods));
    let (path, methods) = lab::gated_route();
    shop.chain([(path.to_owned(), methods)]).collect()
}

/// The routes that do not.
fn open_routes() -> Vec<(String, MethodRouter<Demo>)> {
    let (path, methods) = lab::open_route();
    vec![(path.to_owned(), methods)]
}

impl std::fmt::Debug for Demo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Demo").field("prepared", &self.is_prepared()).field("lab", &self.lab).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use poolgate_pool::sqlite_options;
    use poolgate_types::{Problem, routes};
    use serde_json::Value;
    use sqlx::Sqlite;
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn the_openapi_document_describes_exactly_these_routes() {
        let document = openapi();
        let described: BTreeSet<&String> = document["paths"].as_object().expect("paths").keys().collect();
        let routed: Vec<String> = gated_routes().into_iter().chain(open_routes()).map(|(path, _)| path).collect();
        assert_eq!(described, routed.iter().collect());
    }

    #[tokio::test]
    async fn failures_are_described_as_they_are_sent() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let pool = Pool::<Sqlite>::builder(sqlite_options(folder.path().join("shop.db"))).build().expect("a pool");
        let poolgate = Poolgate::builder(pool).openapi(openapi()).start();
        let request = Request::get(routes::OPENAPI).body(Body::empty()).expect("a request");
        let response = poolgate.routes().oneshot(request).await.expect("infallible");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let document: Value = serde_json::from_slice(&body).expect("JSON");
        for path in openapi()["paths"].as_object().expect("paths").keys() {
            for (method, operation) in document["paths"][path].as_object().expect("methods") {
                let responses = operation["responses"].as_object().expect("responses");
                for status in ["403", "405", "431", "504"] {
                    assert!(responses.contains_key(status), "{method} {path}: {status}");
                }
                for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                    let described = match response["$ref"].as_str() {
                        Some(reference) => {
                            &document["components"]["responses"][reference.rsplit('/').next().expect("a name")]
                        }
                        None => response,
                    };
                    let content = described["content"].as_object();
                    let is_problem = content.is_some_and(|content| content.keys().eq([Problem::CONTENT_TYPE]));
                    assert!(is_problem, "{method} {path}: {status}: {content:?}");
                }
            }
        }
        let order = &document["paths"]["/api/v1/shop/orders"]["post"]["responses"];
        assert_eq!(order["201"]["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/Order");
        assert!(["201", "408", "413", "422", "429", "503"].iter().all(|status| order.get(status).is_some()), "{order}");
    }
}
