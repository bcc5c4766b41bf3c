//! The error of a revoked lease.

use std::error::Error;
use std::io;

/// The lease was held for too long and was [revoked](crate::Pool::revoke). Drop it and acquire another. The error is the
/// cause of an [`sqlx::Error::Io`] of kind `ConnectionAborted`; [`Revoked::caused`] recognizes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease was revoked: it was held for too long")]
#[non_exhaustive]
pub struct Revoked;

impl Revoked {
    /// Whether a revoked lease caused this error.
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
