//! The server as its users meet it: over HTTP, and as a process.

mod cleanup;
#[cfg(unix)]
mod cli;
mod harness;
mod health;
mod ladder;
mod postgres;
mod recovery;
mod routes;
mod sizing;
mod stream;
