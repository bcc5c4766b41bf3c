//! Other ways to control overload, each as a [`Scheme`] of the simulator. `cargo xtask sim list` shows them.
//!
//! Each module is one rival: the law of its clients or of its server, and the scheme that puts it together. Two of the
//! laws run in clients and know nothing of the simulator: [`aws::AdaptiveRetry`] and [`sre::ClientThrottle`]. The lab
//! (`bench/lab`) runs the same code against a real server.

pub mod aws;
mod breakwater;
mod bucket;
mod concurrency;
mod doorman;
mod gates;
mod line;
mod seed;
pub mod sre;

use poolgate_sim::{
    scheme::Scheme,
    schemes::{NoControl, Poolgate},
};

/// Every scheme: no control first, then the rivals, Poolgate's own last.
pub fn all() -> Vec<Box<dyn Scheme>> {
    vec![
        Box::new(NoControl),
        Box::new(gates::FifoGate),
        Box::new(seed::Seed { together: true }),
        Box::new(seed::Seed { together: false }),
        Box::new(gates::CodelGate),
        Box::new(sre::Sre),
        Box::new(aws::Aws),
        Box::new(concurrency::Netflix::GRADIENT2),
        Box::new(concurrency::Netflix::GRADIENT2_TUNED),
        Box::new(concurrency::Netflix::VEGAS),
        Box::new(concurrency::Netflix::VEGAS_TUNED),
        Box::new(breakwater::Breakwater::DEFAULT),
        Box::new(breakwater::Breakwater::TUNED),
        Box::new(doorman::Doorman::DEFAULT),
        Box::new(doorman::Doorman::TUNED),
        Box::new(Poolgate::default()),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use poolgate_sim::{report::Report, scenario::Scenario};

    use super::*;

    /// `clients` that together want `times` the capacity of the default database, measured after 15 seconds.
    pub(crate) fn constant(clients: u32, times: f64, seconds: u32) -> Scenario {
        let text = format!(
            "title = 'constant'\nclients = {clients}\nseconds = {seconds}\nload = [{{ at = 0, times = {times:?} }}]"
        );
        Scenario::parse(&text).expect("valid")
    }

    pub(crate) fn run(scenario: &Scenario, name: &str) -> Report {
        let scheme = all().into_iter().find(|scheme| scheme.name() == name).expect("a scheme");
        poolgate_sim::run(scenario, &*scheme, 1)
    }

    #[test]
    fn names_are_unique() {
        let schemes = all();
        let names: HashSet<_> = schemes.iter().map(|scheme| scheme.name()).collect();
        assert_eq!(names.len(), schemes.len());
    }
}
