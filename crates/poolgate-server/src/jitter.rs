//! A little randomness, so that clients that were rejected together do not come back together.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use poolgate_types::rng::Rng;

/// A random number generator that requests share without a lock.
#[derive(Debug)]
pub(crate) struct Jitter(AtomicU64);

impl Jitter {
    /// A generator with a seed of its own in each process.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().hash_one("poolgate")))
    }

    /// 64 random bits.
    pub(crate) fn bits(&self) -> u64 {
        self.next().next_u64()
    }

    /// Uniform in `0..bound`; 0 if `bound` is 0.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.next().below(bound)
    }

    /// A generator for one number.
    fn next(&self) -> Rng {
        Rng::new(self.0.fetch_add(Rng::STEP, Relaxed))
    }
}
