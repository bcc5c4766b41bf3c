//! An app that keeps its `sqlx::PgPool` and adds Poolgate's gate and monitor. Run it with a PostgreSQL in
//! `DATABASE_URL`, then try `curl localhost:3000/api/v1/health/database/status`.

use std::{error::Error, net::SocketAddr};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use poolgate_server::{Poolgate, Settings, settings::GateSettings};
use sqlx::{PgPool, postgres::PgPoolOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = PgPoolOptions::new().max_connections(30).connect(&std::env::var("DATABASE_URL")?).await?;

    // What Poolgate adds to an app, from here...
    // Below the pool's size: an admitted request gets a connection at once, and background jobs find some left.
    let gate = GateSettings { max_concurrent_requests: 25, ..GateSettings::default() };
    let settings = Settings { gate, ..Settings::default() };
    let poolgate = Poolgate::builder(pool.clone()).settings(settings).start();
    let app = Router::new()
        .route("/now", get(now))
        .with_state(pool)
        .layer(poolgate.gate())
        .merge(poolgate.routes())
        .into_make_service_with_connect_info::<SocketAddr>();
    // ...to here.

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app).await?;
    Ok(())
}

async fn now(State(pool): State<PgPool>) -> Result<String, StatusCode> {
    let query = sqlx::query_scalar("SELECT now()::text");
    query.fetch_one(&pool).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
