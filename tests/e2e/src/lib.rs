//! Starts the real `poolgate` binary in a private folder on a free port and talks to it over HTTP.
//!
//! ```no_run
//! # #[tokio::main]
//! # async fn main() -> anyhow::Result<()> {
//! use poolgate_e2e::Server;
//!
//! let server = Server::builder().demo().start()?;      // SQLite in the private folder
//! server.ready().await?;
//! let answer = server.get("/api/v1/health/ping").await?;
//! assert_eq!(answer.status, 200);
//! let (status, took) = server.terminate()?;
//! assert!(status.success());
//! # Ok(())
//! # }
//! ```
//!
//! Builds the binary first unless `TEST_POOLGATE_BIN` names one. Dropping the [`Server`] kills it.

mod binary;
mod client;
mod server;

pub use binary::binary;
pub use client::{Answer, Client, EventStream};
pub use server::{Ended, Server, ServerBuilder};
