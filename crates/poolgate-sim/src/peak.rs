//! The best goodput of a set-up: a saturated database, and no request that is sent in vain.

use crate::scenario::Scenario;

/// The best goodput in requests per second: the database never idles, and each request costs processor time once.
///
/// With `c` the capacity and `p` the processor time per request, the database works the share `1 − p · peak` of the time,
/// so `peak = c / (1 + c · p)`.
pub fn peak(scenario: &Scenario) -> f64 {
    let capacity = scenario.capacity();
    capacity / (1.0 + capacity * scenario.server.request_us / 1e6)
}
