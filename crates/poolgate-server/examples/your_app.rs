//! Your own axum app with Poolgate: a gate in front of the routes that use the database, the health routes beside them,
//! and the monitor behind both. Run it, then try `curl localhost:3000/api/v1/health/database/status`.

use std::{error::Error, net::SocketAddr};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use poolgate_pool::{Pool, sqlite_options};
use poolgate_server::Poolgate;
use sqlx::Sqlite;

type SqlitePool = Pool<Sqlite>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::temp_dir().join("poolgate-your-app.db");

    // What Poolgate adds to an app, from here...
    let pool = SqlitePool::builder(sqlite_options(file)).build()?;
    let poolgate = Poolgate::builder(pool.clone()).start();
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

async fn now(State(pool): State<SqlitePool>) -> Result<String, StatusCode> {
    let mut connection = pool.acquire().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let query = sqlx::query_scalar("SELECT datetime('now')");
    query.fetch_one(&mut connection).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
