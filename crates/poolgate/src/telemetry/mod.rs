//! Logs and metrics of the process.

pub(crate) mod descriptors;
mod logs;
mod prometheus;

pub use self::{logs::init as init_logs, prometheus::Prometheus};
