//! A server over a real SQLite file, called in process.

use axum::{Router, body::Body};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use poolgate_pool::{Pool, PoolConfig, sqlite_options};
use poolgate_server::{Poolgate, Settings};
use poolgate_types::Problem;
use serde_json::Value;
use sqlx::Sqlite;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::eventually;

/// A server that is called in process.
#[derive(Debug)]
pub struct Server<P = Pool<Sqlite>> {
    /// The handle.
    pub poolgate: Poolgate,
    /// Its pool.
    pub pool: P,
    /// The app with the health routes.
    pub app: Router,
    _folder: TempDir,
}

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

/// A ready server with the health routes and `own`, which gets the pool and the handle.
pub async fn server_with(
    change: impl FnOnce(&mut Settings),
    own: impl FnOnce(&Pool<Sqlite>, &Poolgate) -> Router,
) -> Server {
    let folder = TempDir::new().expect("a folder");
    let mut settings = Settings::default();
    settings.pool.size = 2;
    settings.pool.max_overflow = 1;
    change(&mut settings);
    settings.check().expect("possible settings");
    let config = PoolConfig {
        size: settings.pool.size,
        max_overflow: settings.pool.max_overflow,
        acquire_timeout: settings.pool.timeout,
        ..PoolConfig::default()
    };
    let pool =
        Pool::<Sqlite>::builder(sqlite_options(folder.path().join("test.db"))).config(config).build().expect("a pool");
    let poolgate = Poolgate::builder(pool.clone()).settings(settings).start();
    let app = poolgate_server::app(&poolgate, own(&pool, &poolgate));
    let server = Server::new(poolgate, pool, app, folder);
    eventually("ready", || server.poolgate.readiness().missing().is_none()).await;
    server
}

/// The same without routes of its own.
pub async fn server(change: impl FnOnce(&mut Settings)) -> Server {
    server_with(change, |_, _| Router::new()).await
}

impl<P> Server<P> {
    /// A server of these parts, whose data are in `folder`.
    pub fn new(poolgate: Poolgate, pool: P, app: Router, folder: TempDir) -> Self {
        Self { poolgate, pool, app, _folder: folder }
    }

    /// Sends a GET to the app, without a connection.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    /// Sends a POST without a body.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, headers).await
    }

    /// Sends a request without a body.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send_body(method, path, headers, Body::empty()).await
    }

    /// Sends a request, for `localhost:8000` if the headers name no host.
    pub async fn send_body(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost:8000");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.app.clone().oneshot(request.body(body).expect("a request")).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("text");
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

impl Answer {
    /// The value of a header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// The problem document; checks what all of them have in common.
    pub fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}: {}", self.status, self.body);
        let problem: Problem = serde_json::from_str(&self.body).expect("a problem document");
        assert_eq!(problem.status, self.status.as_u16());
        assert!(!problem.title.is_empty() && !problem.detail.is_empty() && !problem.code.is_empty());
        problem
    }
}
