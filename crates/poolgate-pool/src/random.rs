//! Randomness for spreading times.

use std::hash::{BuildHasher, RandomState};

/// A number in [0, 1); each `RandomState` has its own keys.
pub(crate) fn random() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}
