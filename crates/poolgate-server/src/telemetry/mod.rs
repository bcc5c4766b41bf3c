//! Logs and metrics.

pub(crate) mod descriptors;
pub(crate) mod logs;
pub(crate) mod names;
pub(crate) mod prometheus;

pub use self::{logs::init as init_logs, prometheus::MetricsRenderer};
