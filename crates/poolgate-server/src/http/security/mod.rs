//! What is refused before any route is reached.

mod cross_site;
mod head;
mod host;
mod patience;

pub(super) use self::{
    cross_site::refuse_cross_site, head::refuse_bad_heads, host::refuse_foreign_hosts, patience::bound_time,
};
