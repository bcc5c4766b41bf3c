//! A connection in use, the operations on it, and what they tell about its condition.

mod after_repair;
mod condition;
mod executor;
mod guard;
mod own_transaction;
mod revoked;
mod transaction;
mod wait;

pub use self::guard::Lease;
pub(crate) use self::guard::PingError;
pub use self::revoked::Revoked;
pub use self::transaction::Transaction;
pub use self::wait::Lost;
pub(crate) use self::wait::Wait;
