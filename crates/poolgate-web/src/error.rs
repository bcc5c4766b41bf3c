//! Why a request has no answer.

use std::time::Duration;

use poolgate_throttle::{RejectReason, Rejection};

/// Why a request has no answer, or the client cannot do something. It has no JavaScript values, so it is `Send + Sync`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The breaker is open. Nothing was sent.
    #[error("the database does not answer; requests are held back")]
    CircuitOpen {
        /// When another attempt may succeed.
        retry_after: Option<Duration>,
    },
    /// The client's queue is full. Nothing was sent.
    #[error("too many requests are waiting already")]
    QueueFull {
        /// When another attempt may succeed.
        retry_after: Option<Duration>,
    },
    /// The request waited for its longest time. Nothing was sent.
    #[error("the request waited for its longest time")]
    QueueTimeout {
        /// When another attempt may succeed.
        retry_after: Option<Duration>,
    },
    /// The client was closed while the request waited. Nothing was sent.
    #[error("the client was closed while the request waited")]
    Closed,
    /// The server was not reached.
    #[error("the server was not reached: {message}")]
    Network {
        /// What the browser says.
        message: String,
    },
    /// The app aborted the request.
    #[error("the request was aborted: {reason}")]
    Aborted {
        /// The reason that the app gave.
        reason: String,
    },
    /// The request itself is wrong.
    #[error("the request cannot be sent: {message}")]
    Request {
        /// What is wrong.
        message: String,
    },
    /// There is no config to return.
    #[error("{message}")]
    NoConfig {
        /// Why.
        message: String,
    },
    /// The server refused a cleanup.
    #[error("the server refused the cleanup with status {status} ({code})")]
    CleanupRefused {
        /// The answer's status.
        status: u16,
        /// The code of its problem document.
        code: String,
        /// When another attempt may succeed.
        retry_after: Option<Duration>,
    },
    /// An adopted client cannot do this.
    #[error("an adopted client has no {what}")]
    Unsupported {
        /// What it has not.
        what: &'static str,
    },
}

impl Error {
    /// When another attempt may succeed, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::CircuitOpen { retry_after }
            | Self::QueueFull { retry_after }
            | Self::QueueTimeout { retry_after }
            | Self::CleanupRefused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The stable, machine-readable code of a rejection by this client; `None`: it is none.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::CircuitOpen { .. } => Some("circuit_open"),
            Self::QueueFull { .. } => Some("queue_full"),
            Self::QueueTimeout { .. } => Some("queue_timeout"),
            Self::Closed => Some("client_closed"),
            _ => None,
        }
    }

    /// The rejection with this [code](Self::code).
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn of_code(code: &str, retry_after: Option<Duration>) -> Option<Self> {
        Some(match code {
            "circuit_open" => Self::CircuitOpen { retry_after },
            "queue_full" => Self::QueueFull { retry_after },
            "queue_timeout" => Self::QueueTimeout { retry_after },
            "client_closed" => Self::Closed,
            _ => return None,
        })
    }
}

impl From<Rejection> for Error {
    fn from(Rejection { reason, retry_after }: Rejection) -> Self {
        match reason {
            RejectReason::QueueFull => Self::QueueFull { retry_after },
            RejectReason::QueueTimeout => Self::QueueTimeout { retry_after },
            RejectReason::Closed => Self::Closed,
            // The breaker, and what a later version of the throttle may add.
            _ => Self::CircuitOpen { retry_after },
        }
    }
}

impl From<gloo_net::Error> for Error {
    fn from(error: gloo_net::Error) -> Self {
        Self::Request { message: error.to_string() }
    }
}
