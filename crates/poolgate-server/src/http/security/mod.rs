//! Checks that run before any route.

mod cross_site;
mod head;
mod host;
mod patience;

pub(super) use self::{
    cross_site::refuse_cross_site, head::refuse_bad_heads, host::refuse_foreign_hosts, patience::bound_time,
};
