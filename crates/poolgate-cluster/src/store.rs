//! Where the replicas meet.

use std::{error::Error, future::Future};

use poolgate_control::cluster::{Census, Exchange, Seen};

/// A store that all replicas share.
///
/// What [`Seen`] has of the config must be in force after the write: only a config that was read back is served, so all
/// replicas serve the same bytes.
///
/// It must write the ledger only if it is the successor of the present one, and never accept two with one revision; and the
/// config only if the present one is the one that it [replaces](Exchange::replaces). What it reads must contain all that was written before. It may lose rows, and even everything: the replicas notice.
///
/// Each call is given up after a time limit by dropping its future; the next one must work regardless.
pub trait Store: Send + 'static {
    /// Whether it is kept by the database that is asked for the [census](Self::census): then one that does not answer an
    /// exchange is not asked for the census either.
    const IN_DATABASE: bool;

    /// Writes and reads, in one step or in this order or its reverse. What arrives late must not be sent any more.
    fn exchange(&mut self, write: &Exchange) -> impl Future<Output = Result<Seen, StoreError>> + Send;

    /// Asks the database for the connections of all replicas, on a connection of this replica that stays open.
    fn census(&mut self) -> impl Future<Output = Result<Census, StoreError>> + Send;

    /// Ends the connection to the store.
    fn close(&mut self) -> impl Future<Output = ()> + Send;
}

/// Why the store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It was not reached, or refused the statement.
    #[error("the cluster's store cannot be used: {0}")]
    Unusable(#[source] Box<dyn Error + Send + Sync>),
    /// It holds what is no document of this version.
    #[error("the cluster's store holds what this version does not understand: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unusable(Box::new(error))
    }
}
