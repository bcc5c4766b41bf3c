//! The server as its users meet it: over HTTP.

mod admin;
mod cleanup;
mod harness;
mod health;
mod ladder;
mod observer;
mod other_sites;
mod postgres;
mod proxies;
mod recovery;
mod routes;
mod sizing;
mod stream;
