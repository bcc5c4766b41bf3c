//! What is specific to PostgreSQL and SQLite: addresses, session set-up and reset, the meaning of error codes.

mod address;
mod backend;
mod invalid_address;
pub(crate) mod remedy;
pub(crate) mod reset;
mod session;
mod sqlite;

pub use self::address::{any_options, postgres_options};
pub use self::backend::Backend;
pub(crate) use self::backend::{Operations, Repair};
pub use self::invalid_address::InvalidAddress;
pub use self::session::PostgresSession;
pub(crate) use self::session::Session;
pub use self::sqlite::{sqlite_defaults, sqlite_options, sqlite_read_options};
