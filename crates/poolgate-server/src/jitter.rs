//! A little randomness, so that clients that were rejected together do not come back together.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014), shared without a lock.
#[derive(Debug)]
pub(crate) struct Jitter(AtomicU64);

impl Jitter {
    /// A generator with a seed of its own in each process.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().hash_one("poolgate")))
    }

    /// 64 random bits.
    pub(crate) fn bits(&self) -> u64 {
        let mut z = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Relaxed).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `0..bound`; 0 if `bound` is 0.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        // The high half of the product.
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }
}
