//! The `poolgate` program: the [`poolgate_server`] library with everything that a process of its own needs.
//!
//! 1. [`Cli`] reads the command line, and [`settings`] the file, the environment and the flags.
//! 2. [`telemetry`] sends logs to stderr and renders the metrics for Prometheus.
//! 3. [`serve()`] accepts connections within bounds and shuts down gracefully. What it serves is
//!    [`poolgate_server::app`] with the operations [`page`] and, where it is enabled, the [`demo`].
//!
//! It is a library so that tests and benchmarks can run parts of it. Apps embed [`poolgate_server`] instead.

mod address;
mod alerts;
mod cli;
pub mod demo;
mod haproxy_agent;
pub mod page;
mod records;
mod serve;
pub mod settings;
pub mod telemetry;
mod traces;
mod web_client;

pub use self::{
    cli::Cli,
    serve::{Served, serve},
};
