//! Seeded randomness. Each part of the model draws from a stream of its own, so two runs that differ in one part see
//! the same demand.

use std::time::Duration;

/// The part of the model that draws.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// The users' wishes.
    Demand = 1,
    /// The database's service times.
    Service,
    /// The messages' travel times.
    Network,
    /// Decisions of clients.
    Clients,
    /// Decisions of the server.
    Server,
    /// Which server gets a request.
    Balancer,
    /// The servers' exchanges with each other.
    Cluster,
}

/// A stream of random numbers; equal seeds give equal numbers.
#[derive(Clone, Debug)]
pub struct Random(fastrand::Rng);

impl Random {
    /// The stream of a run with this seed.
    pub fn new(seed: u64, stream: Stream) -> Self {
        Self(fastrand::Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (stream as u64) << 56))
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        self.0.f64()
    }

    /// Uniform in `[low, high)`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0..end`; `end` must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end)
    }

    /// Uniform over all numbers.
    pub fn number(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// The time between two events of a Poisson process of this rate.
    pub fn interval(&mut self, per_second: f64) -> Duration {
        seconds(self.exponential() / per_second)
    }

    /// Exponentially distributed with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// Uniform between half and one and a half times `mean`.
    pub fn around(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(self.between(0.5, 1.5))
    }
}

/// Seconds as a duration. A number that is no duration (negative, not finite, too large) becomes 136 years.
pub fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(1 << 32))
}
