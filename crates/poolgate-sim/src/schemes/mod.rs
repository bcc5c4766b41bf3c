//! The schemes that can be compared.

mod aws;
mod breakwater;
mod bucket;
mod concurrency;
mod credits;
mod doorman;
mod fifo;
mod gradient2;
mod line;
mod poolgate;
mod seed;
mod silent;
mod sre;
mod throttled;
mod vegas;

use crate::scheme::Scheme;

/// Every scheme; Poolgate's own is the last.
pub fn all() -> Vec<Box<dyn Scheme>> {
    vec![
        Box::new(silent::NoControl),
        Box::new(silent::FifoGate),
        Box::new(seed::Seed { together: true }),
        Box::new(seed::Seed { together: false }),
        Box::new(silent::CodelGate),
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
        Box::new(poolgate::Poolgate::default()),
    ]
}

/// The scheme with this name.
pub fn named(name: &str) -> Option<Box<dyn Scheme>> {
    all().into_iter().find(|scheme| scheme.name() == name)
}

pub use poolgate::Poolgate;
pub use silent::NoControl;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{report::Report, scenario::Scenario};

    /// So many clients that want so many times the capacity of the usual database, measured after 15 seconds.
    pub(super) fn constant(clients: u32, times: f64, seconds: u32) -> Scenario {
        let text = format!(
            "title = 'constant'\nclients = {clients}\nseconds = {seconds}\nload = [{{ at = 0, times = {times:?} }}]"
        );
        Scenario::parse(&text).expect("valid")
    }

    pub(super) fn run(scenario: &Scenario, name: &str) -> Report {
        crate::run(scenario, &*named(name).expect("a scheme"), 1)
    }

    #[test]
    fn names_are_unique() {
        let schemes = all();
        let names: HashSet<_> = schemes.iter().map(|scheme| scheme.name()).collect();
        assert_eq!(names.len(), schemes.len());
    }
}
