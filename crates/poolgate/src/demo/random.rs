//! Random numbers by seed: the demo's data must be the same on every machine, and its load reproducible.

use poolgate_types::rng::Rng;

/// A random number generator, and what the demo draws with it.
#[derive(Clone, Debug)]
pub struct Random(Rng);

impl Random {
    /// The sequence of a `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(Rng::new(seed))
    }

    /// The sequence for item number `index`, so that each item can be created without the earlier ones.
    pub fn of(kind: u64, index: u64) -> Self {
        let mut random = Self::new(kind.wrapping_mul(0xD1B5_4A32_D192_ED03) ^ index);
        random.next_u64();
        random
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        self.0.unit()
    }

    /// Uniform in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// One of `choices`, which must not be empty.
    pub fn choose<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// The time to the next event of a Poisson process with `rate` events a second, in seconds.
    pub fn exponential(&mut self, rate: f64) -> f64 {
        -(1.0 - self.unit()).ln() / rate
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_sequence_is_the_published_one() {
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn values_stay_inside_their_ranges_and_spread() {
        let mut random = Random::new(7);
        let mut sum = 0.0;
        for _ in 0..10_000 {
            assert!(random.below(7) < 7);
            let unit = random.unit();
            assert!((0.0..1.0).contains(&unit));
            sum += random.exponential(4.0);
        }
        let mean = sum / 10_000.0;
        assert!((mean - 0.25).abs() < 0.02, "mean of the exponential at 4 a second: {mean}");
        assert_eq!(random.below(0), 0);
    }
}
