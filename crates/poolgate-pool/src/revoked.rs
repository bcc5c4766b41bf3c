//! The error of a lease that was taken away.

use std::error::Error;
use std::io;

/// The lease was taken away from its holder ([`Pool::revoke`](crate::Pool::revoke)): it was held for
/// too long. Drop it and acquire another. It comes as the cause of an [`sqlx::Error::Io`] of the kind
/// `ConnectionAborted`; [`Revoked::caused`] tells it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease was revoked: it was held for too long")]
#[non_exhaustive]
pub struct Revoked;

impl Revoked {
    /// Whether an error says that the lease was revoked.
    #[must_use]
    pub fn caused(error: &sqlx::Error) -> bool {
        matches!(error, sqlx::Error::Io(error) if error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<Self>))
    }
}

impl From<Revoked> for sqlx::Error {
    fn from(revoked: Revoked) -> Self {
        Self::Io(io::Error::new(io::ErrorKind::ConnectionAborted, revoked))
    }
}
