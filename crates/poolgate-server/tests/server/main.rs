//! The server as its users meet it: over HTTP.

mod activity;
mod admin;
mod cleanup;
mod dead_connections;
mod health;
mod history;
mod ladder;
mod observer;
mod other_servers;
mod other_sites;
mod postgres;
mod proxies;
mod recovery;
mod routes;
mod sizing;
mod stream;
