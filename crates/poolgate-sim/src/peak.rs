//! The best goodput of a set-up: what a saturated database serves while no request is sent in vain.

use crate::scenario::Scenario;

/// Requests a second: the database never idles, and the server's processor time per request is spent once for each.
///
/// With `c` the capacity and `p` the processor time per request, the database works the share `1 − p · peak` of the time,
/// so `peak = c / (1 + c · p)`.
pub fn peak(scenario: &Scenario) -> f64 {
    let capacity = scenario.capacity();
    capacity / (1.0 + capacity * scenario.server.request_us / 1e6)
}
