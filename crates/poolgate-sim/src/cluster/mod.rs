//! What several servers share: their part in the cluster, and the store in which they meet.

mod member;
mod store;

pub(crate) use self::{
    member::{Member, Turn},
    store::Store,
};
