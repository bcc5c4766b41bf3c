//! Poolgate for apps in any language: watches the PgBouncer that they share, and tells their browsers what they may send.
//! Run it with the PgBouncer's address in `PGBOUNCER_URL` (postgres://stats@pooler:6432/shop) and ask
//! `curl localhost:3000/api/v1/health/database/status`. The `poolgate` program does the same with
//! `--watch pgbouncer://…`.

use std::{error::Error, net::SocketAddr, time::Duration};

use poolgate_pool::postgres_options;
use poolgate_server::{PgBouncer, Poolgate};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::var("PGBOUNCER_URL")?;
    // The user must be listed in PgBouncer's `stats_users`; the database names the pools that are watched.
    let source = PgBouncer::new(postgres_options(&address)?).transactions_per_request(1.5);

    // The requests do not pass this server, so there is no gate: it only publishes the config, status and metrics.
    let poolgate = Poolgate::builder(source).start();
    let app = poolgate.routes().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(report(poolgate));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app).await?;
    Ok(())
}

/// Prints what the clients are told.
async fn report(poolgate: Poolgate) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (status, config) = (poolgate.status(), poolgate.config());
        println!(
            "{} of {} connections in use, {:?}; fair rate per client: {:?} requests per second",
            status.pool.checked_out, status.pool.capacity, config.throttling_level, config.fair_rate_per_second
        );
    }
}
