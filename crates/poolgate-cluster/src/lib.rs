//! Many replicas of Poolgate in front of one database.
//!
//! [`poolgate_control::cluster`] makes the decisions: how many connections each replica may have, and who publishes the
//! config. This crate carries them out: a [`Store`] is where the replicas meet, [`PostgresStore`] keeps it in the
//! database itself and `NatsStore` (feature `nats`) in NATS JetStream, and a [`Membership`] is the task that takes part for one process: it sizes its pool, and it is what a
//! server asks for the config that all serve ([`Peers`](poolgate_control::cluster::Peers)).
//!
//! `docs/cluster.md` says what is built and what is not.

mod database;
mod membership;
#[cfg(feature = "nats")]
mod nats;
mod postgres;
mod share;
mod store;

pub use membership::{Membership, Situation};
#[cfg(feature = "nats")]
pub use nats::{InvalidServers, NatsStore};
pub use postgres::PostgresStore;
pub use share::{NoShare, PoolShare, Share};
pub use store::{Store, StoreError};
