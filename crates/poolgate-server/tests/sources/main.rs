//! Sources other than Poolgate's own pool, on the real servers.

mod existing_pool;
mod harness;
mod overload;
mod pgbouncer;
mod postgres;
