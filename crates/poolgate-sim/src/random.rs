//! Seeded randomness. Each part of the model draws from a stream of its own, so that two runs that differ in one part
//! see the same demand.

use std::time::Duration;

/// What a stream of random numbers is for.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// When which user wants something.
    Demand = 1,
    /// How long the database works on a request.
    Service,
    /// How long messages travel.
    Network,
    /// What clients decide.
    Clients,
    /// What the server decides.
    Server,
}

/// A stream of random numbers; equal seeds give equal numbers.
#[derive(Clone, Debug)]
pub struct Random(fastrand::Rng);

impl Random {
    /// The stream of a run with this seed.
    pub fn new(seed: u64, stream: Stream) -> Self {
        Self(fastrand::Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (stream as u64) << 56))
    }

    /// From 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        self.0.f64()
    }

    /// From `low` up to `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Below `end`, which must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// The time between two events of a Poisson process with so many a second.
    pub fn interval(&mut self, per_second: f64) -> Duration {
        seconds(self.exponential() / per_second)
    }

    /// Exponentially distributed with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// The duration, half to one and a half times.
    pub fn around(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(self.between(0.5, 1.5))
    }
}

/// Seconds as a duration; what is no duration is a very long one.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(1 << 32))
}
