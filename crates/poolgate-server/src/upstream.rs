//! The app behind a gateway, as the status shows it.

use std::fmt;

use poolgate_types::GatewayStatus;

/// The app behind a gateway.
pub trait Upstream: fmt::Debug + Send + Sync + 'static {
    /// How it is, and what goes through to it. Called at each tick, so it must not wait.
    fn status(&self) -> GatewayStatus;
}
