//! One small seeded random number generator for the crates that have no other source of chance.
//!
//! Jitter needs to be spread evenly, not to be unpredictable: nothing here is fit for secrets.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). Equal seeds give
/// equal numbers.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// What the state grows by with each number: a generator that counts in an atomic adds it by itself.
    pub const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

    /// The sequence that belongs to `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
        mix(self.0)
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        to_unit(self.next_u64())
    }

    /// Uniform in `[low, high)`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product; the bias is below 2^-32 for bounds below 2^32.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

/// SplitMix64's finalizer: every bit of the input changes every bit of the result with probability close to a half.
pub const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// The upper 53 bits as a fraction in `[0, 1)`: as many as a double holds exactly.
pub fn to_unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_published_generator() {
        // First outputs of the reference implementation for seed 1234567.
        let mut rng = Rng::new(1_234_567);
        let reference = [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        for expected in reference {
            assert_eq!(rng.unit(), to_unit(expected));
        }
    }

    #[test]
    fn spreads_evenly() {
        let mut rng = Rng::new(7);
        let mut tenths = [0_u32; 10];
        for _ in 0..10_000 {
            let value = rng.between(0.0, 10.0);
            assert!((0.0..10.0).contains(&value));
            tenths[value as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
        assert!((0..1_000).all(|_| rng.below(7) < 7));
        assert_eq!(rng.below(0), 0);
    }
}
