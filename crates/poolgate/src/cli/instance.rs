//! Which start of which process this is.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    process,
};

/// A random number, new at each start: the second part of the application name, and the replica's id in a cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instance(pub(super) u32);

impl Instance {
    pub(super) fn new() -> Self {
        Self(RandomState::new().hash_one(process::id()) as u32)
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}
