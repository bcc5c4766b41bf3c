//! "QueuePool limit of size 5 overflow 10 reached": an app on FastAPI and SQLAlchemy, alone and behind the gateway. The
//! app is the same, and nothing in it knows of Poolgate.

use std::{net::SocketAddr, time::Duration};

use poolgate_e2e::Server;
use poolgate_test_apps::{Outcome, Uvicorn, load};
use poolgate_test_postgres::Postgres;

/// Connections of the app's pool, and how long a query takes: 120 requests a second at the most.
const POOL: [(&str, &str); 4] = [("POOL_SIZE", "6"), ("MAX_OVERFLOW", "0"), ("POOL_TIMEOUT", "2"), ("QUERY_MS", "50")];
const CAPACITY: f64 = 120.0;
const LASTING: Duration = Duration::from_secs(10);

fn app(url: &str) -> Uvicorn {
    let environment: Vec<_> = POOL.into_iter().chain([("DATABASE_URL", url)]).collect();
    Uvicorn::start("fastapi", &environment).expect("the app")
}

async fn measure(what: &str, address: SocketAddr, times_capacity: f64) -> Outcome {
    load(address, "/orders", CAPACITY / 4.0, Duration::from_secs(2)).await;
    let outcome = load(address, "/orders", CAPACITY * times_capacity, LASTING).await;
    let Outcome { sent, succeeded, turned_away, failed, late, .. } = &outcome;
    println!(
        "{what} at {times_capacity} x capacity: {sent} sent, {succeeded} served ({:.0} %), {turned_away} turned away, \
         {failed} failed, {late} late; p50 {:?}, p99 {:?}",
        outcome.success() * 100.0,
        outcome.quantile(0.5),
        outcome.quantile(0.99),
    );
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python with FastAPI, which `cargo xtask test` installs"]
async fn an_app_whose_pool_overflows_keeps_its_peak_behind_the_gateway() {
    let postgres = tokio::task::spawn_blocking(|| Postgres::start().expect("PostgreSQL")).await.expect("joined");
    let url = postgres.create_database("shop").expect("a database");
    let alone = {
        let app = app(&url);
        measure("alone", app.address(), 3.0).await
    };
    let app = app(&url);
    let gateway = Server::builder()
        .arguments(["--upstream", &format!("http://{}", app.address())])
        .environment("POOLGATE_GATE__MAX_CONCURRENT_REQUESTS", "6")
        .environment("POOLGATE_SERVER__ADMIN_BIND", "127.0.0.1:0")
        .start()
        .expect("the gateway");
    let calm = measure("behind", gateway.address(), 0.6).await;
    let behind = measure("behind", gateway.address(), 3.0).await;
    let served = f64::from(behind.succeeded) / LASTING.as_secs_f64();
    assert!(calm.success() > 0.99, "nobody is turned away where there is room: {calm:?}");
    assert_eq!((behind.failed, behind.late), (0, 0), "no error of the app, nobody waits in vain");
    assert!(served > 0.7 * CAPACITY, "{served:.0} a second of {CAPACITY}");
    assert!(behind.succeeded > 2 * alone.succeeded, "alone {}, behind {}", alone.succeeded, behind.succeeded);
}
