//! What several servers share: their part in the cluster.

mod member;

pub(crate) use self::member::{Member, Turn};
