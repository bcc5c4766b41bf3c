//! Sources other than Poolgate's own pool, on the real servers.

mod existing_pool;
mod haproxy;
mod harness;
mod metrics;
mod overload;
mod pgbouncer;
mod postgres;
