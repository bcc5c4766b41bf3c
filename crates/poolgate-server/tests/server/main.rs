//! The server as its users meet it: over HTTP, and as a process.

mod cleanup;
#[cfg(unix)]
mod cli;
mod crowds;
mod harness;
mod health;
mod ladder;
mod malformed;
mod observer;
mod other_sites;
mod postgres;
mod proxies;
mod recovery;
mod routes;
#[cfg(unix)]
mod secrets;
mod sizing;
mod slow;
mod stream;
