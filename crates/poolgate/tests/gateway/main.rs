//! The gateway over raw sockets: a client library would tidy up what these tests send and receive.
#![cfg(feature = "gateway")]

mod bodies;
mod client;
mod framing;
mod front;
mod outages;
mod own_routes;
mod permits;
mod raw_app;
mod senders;
mod traces;
mod websockets;
