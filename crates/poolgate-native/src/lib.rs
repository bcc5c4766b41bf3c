//! A Poolgate client for Rust programs on tokio: it does what the npm package does in a browser.
//!
//! A [`Client`] follows the config of one server on an event stream, which makes the server count it as a live client. It
//! decides with the same throttle as browsers when a request may start, and learns from each answer.
//!
//! One client takes one client's share of the database. That is right for a program that works for one user, such as a
//! command-line tool, a batch job or a load generator. A service that stands for many users would get too little.
//!
//! ```no_run
//! use std::time::{Duration, Instant};
//!
//! use poolgate_native::{Asked, Client, HttpClient, Request, Settings};
//!
//! # async fn run() {
//! let client = Client::new(HttpClient::new(([127, 0, 0, 1], 8000).into()), Settings::default(), 42);
//! let following = client.clone();
//! tokio::spawn(async move { following.run().await });
//!
//! let ticket = match client.ask(Request::default()) {
//!     Asked::Start(ticket) => ticket,
//!     Asked::Queued(waiting) => match waiting.await {
//!         Ok(ticket) => ticket,
//!         Err(rejection) => panic!("try again after {:?}", rejection.retry_after),
//!     },
//!     Asked::Rejected(rejection) => panic!("try again after {:?}", rejection.retry_after),
//! };
//! let answer = client.get(ticket, "/orders", Instant::now() + Duration::from_secs(10)).await;
//! # drop(answer);
//! # }
//! ```

mod client;
mod events;
mod feed;
mod http;

pub use poolgate_front::{Asked, Head, Ticket, Waiting};
pub use poolgate_throttle::{Order, Priority, RejectReason, Rejection, Request, Settings};

pub use self::{
    client::Client,
    events::{Event, EventReader, EventTooLong},
    http::{Answer, HttpClient, NoAnswer},
};
