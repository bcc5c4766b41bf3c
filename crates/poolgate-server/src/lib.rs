//! Poolgate server.
mod address;
mod cli;
mod clients;
pub mod demo;
pub mod gate;
mod http;
mod latency;
mod monitor;
mod observer;
pub mod page;
mod poolgate;
mod problem;
mod readiness;
mod serve;
pub mod settings;
pub mod telemetry;
mod watched;
pub use self::{
    cli::Cli,
    http::app,
    observer::PoolObserver,
    poolgate::{Builder, Poolgate},
    readiness::{Readiness, StartUpWork},
    serve::{Served, serve},
    settings::Settings,
    watched::{ApartConnection, SupportedDatabase, WatchedPool},
};
