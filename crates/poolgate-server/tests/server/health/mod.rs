//! Faults of a real database as shown by status, alerts and readiness.

mod lost;
mod writes;

use std::time::{Duration, Instant};

use axum::{Router, routing::get};
use http::StatusCode;
use poolgate_pool::{Pool, PoolConfig};
use poolgate_server::{Poolgate, Settings, SupportedDatabase};
use poolgate_test_postgres::Postgres;
use poolgate_types::{Alert, AlertKind, CircuitState, Health, Level, Reason, Severity, routes};
use sqlx::{Executor, postgres::PgConnectOptions};

use poolgate_test_harness::Server;

/// Longer than any pause between two attempts.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A server with `/read` and `/write` behind the gate.
pub(super) struct World {
    pub(super) poolgate: Poolgate,
    pub(super) server: Server<()>,
}

impl World {
    pub(super) fn new<DB>(builder: poolgate_pool::Builder<DB>, change: impl FnOnce(&mut Settings)) -> Self
    where
        DB: SupportedDatabase + poolgate_pool::Backend,
        for<'l> &'l mut poolgate_pool::Lease<DB>: Executor<'l, Database = DB>,
    {
        let config =
            PoolConfig { size: 3, max_overflow: 0, acquire_timeout: Duration::from_secs(3), ..PoolConfig::default() };
        let pool = builder.config(config).build().expect("a pool");
        let mut settings = Settings::default();
        change(&mut settings);
        let poolgate = Poolgate::builder(pool.clone()).settings(settings).start();
        let run = move |statement: &'static str| {
            let pool = pool.clone();
            async move {
                let Ok(mut lease) = pool.acquire().await else { return StatusCode::SERVICE_UNAVAILABLE };
                match lease.execute(statement).await {
                    Ok(_) => StatusCode::OK,
                    Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
                }
            }
        };
        let (read, write) = (run.clone(), run);
        let own = Router::new()
            .route("/read", get(async move || read("SELECT count(*) FROM t").await))
            .route("/write", get(async move || write("INSERT INTO t VALUES (1)").await))
            .route("/idle", get(async || tokio::time::sleep(Duration::from_secs(30)).await))
            .layer(poolgate.gate());
        let app = poolgate_server::app(&poolgate, own);
        let server = Server::new(poolgate.clone(), (), app, tempfile::TempDir::new().expect("a folder"));
        Self { poolgate, server }
    }

    pub(super) fn alert(&self, kind: AlertKind) -> Option<Alert> {
        self.poolgate.status().alerts.into_iter().find(|alert| alert.kind == kind)
    }

    pub(super) async fn is_ok(&self, path: &str) -> bool {
        self.server.get(path).await.status == StatusCode::OK
    }

    /// Requests `path` repeatedly until `condition` holds.
    pub(super) async fn under_load(&self, path: &str, what: &str, condition: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !condition(self) {
            assert!(begun.elapsed() < PATIENCE, "not {what}: {:?}", self.poolgate.status());
            self.server.get(path).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The database is unusable, and all documents say why.
    pub(super) async fn is_lost(&self, kind: AlertKind, reason: Reason, cause: &str) {
        self.under_load("/read", "lost", |world| world.alert(kind).is_some_and(|it| it.severity == Severity::Critical))
            .await;
        let alert = self.alert(kind).expect("it stays");
        assert!(alert.message.contains(cause), "{}", alert.message);
        let config = self.poolgate.config();
        assert_eq!((config.health, config.throttling_level), (Health::Critical, Level::Emergency), "{config:?}");
        assert!(config.circuit_breaker_open && [reason, Reason::Probing].contains(&config.reason), "{config:?}");
        let status = self.server.get(routes::STATUS).await;
        assert!(status.problem().detail.contains(cause), "{}", status.body);
    }

    pub(super) async fn is_well_again(&self) {
        self.under_load("/read", "well again", |world| {
            let status = world.poolgate.status();
            status.circuit_breaker == CircuitState::Closed
                && status.health == Health::Healthy
                && status.alerts.is_empty()
                && world.poolgate.readiness().missing().is_none()
        })
        .await;
        assert!(self.is_ok("/read").await);
        assert_eq!(self.server.get(routes::STATUS).await.status, StatusCode::OK);
        assert_eq!(self.server.get(routes::READYZ).await.status, StatusCode::OK);
    }

    /// Writes fail, reads work, and no request is held back.
    pub(super) async fn writes_fail(&self, kind: AlertKind, reason: Reason) {
        self.under_load("/write", "noticed", |world| {
            world.alert(kind).is_some_and(|it| it.severity == Severity::Critical)
        })
        .await;
        let config = self.poolgate.config();
        assert_eq!((config.health, config.reason, config.enforced), (Health::Degraded, reason, false));
        assert!(!config.circuit_breaker_open);
        assert!(self.is_ok("/read").await, "reads work");
        assert_eq!(self.server.get(routes::READYZ).await.status, StatusCode::OK);
    }
}

pub(super) async fn postgres(max_connections: u32) -> Postgres {
    let start = move || Postgres::start_with_max_connections(max_connections);
    tokio::task::spawn_blocking(start).await.expect("joined").expect("PostgreSQL")
}

/// A database `shop` with a table for the role `app` (password `hunter2secret`); the server requires passwords.
pub(super) async fn shop(max_connections: u32) -> Postgres {
    let postgres = postgres(max_connections).await;
    tokio::task::block_in_place(|| {
        let sql = |database: &str, sql: &str| postgres.sql(database, sql).expect("done");
        sql("postgres", "CREATE ROLE app LOGIN PASSWORD 'hunter2secret'");
        let file = sql("postgres", "SHOW hba_file");
        let rules = "VALUES ('host all app 127.0.0.1/32 scram-sha-256'), ('host all all 127.0.0.1/32 trust')";
        sql("postgres", &format!("COPY ({rules}) TO '{file}'"));
        sql("postgres", "SELECT pg_reload_conf()");
        create_shop(&postgres);
    });
    postgres
}

pub(super) fn create_shop(postgres: &Postgres) {
    postgres.sql("postgres", "CREATE DATABASE shop OWNER app").expect("created");
    postgres.sql("shop", "CREATE TABLE t (x int); GRANT ALL ON t TO app").expect("created");
    // After a crash the harness's server loses unwritten data.
    postgres.sql("postgres", "CHECKPOINT").expect("written");
}

pub(super) fn app(postgres: &Postgres, password: &str) -> poolgate_pool::Builder<sqlx::Postgres> {
    let options: PgConnectOptions = postgres.url("shop").parse().expect("a URL");
    Pool::<sqlx::Postgres>::builder(options.username("app").password(password))
}
