//! The server as its users meet it: over HTTP, and as a process.

mod cleanup;
#[cfg(unix)]
mod cli;
mod harness;
mod ladder;
mod postgres;
mod recovery;
mod routes;
#[cfg(unix)]
mod secrets;
mod sizing;
mod stream;
