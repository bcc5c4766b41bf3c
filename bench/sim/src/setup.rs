//! A scenario with the changes of the command line, and its description.

use poolgate_sim::{
    peak,
    scenario::{Distribution, Scenario},
};

/// The set-up that all schemes of a comparison share.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Name of the scenario; of a file, its name without the extension.
    pub(crate) name: String,
    pub(crate) scenario: Scenario,
}

impl Setup {
    /// Replaces the highest load of the scenario.
    pub(crate) fn raise_to(&mut self, times: f64) {
        let highest = self.scenario.peak_load();
        let loads = self.scenario.load.iter_mut().flat_map(|step| [Some(&mut step.times), step.to.as_mut()]);
        loads.flatten().filter(|load| **load == highest).for_each(|load| *load = times);
    }

    /// The database, the length and the number of runs, for the head of a table or a plot.
    pub(crate) fn describe(&self, seeds: usize) -> String {
        let Scenario { database, warm_up_seconds, seconds, .. } = &self.scenario;
        let times = match database.distribution {
            Distribution::Fixed => "fixed",
            Distribution::Exponential => "exponential",
            Distribution::Bimodal => "bimodal",
        };
        let medians = if seeds > 1 { format!("; medians and ranges of {seeds} seeds") } else { String::new() };
        format!(
            "{} connections of {} ms ({times}), capacity {:.0}/s, peak {:.0}/s; seconds {warm_up_seconds} to {seconds}{medians}",
            database.connections,
            database.mean_ms,
            self.scenario.capacity(),
            peak(&self.scenario),
        )
    }

    /// `1,000 clients`.
    pub(crate) fn clients(&self) -> String {
        let plural = if self.scenario.clients == 1 { "" } else { "s" };
        format!("{} client{plural}", thousands(self.scenario.clients))
    }
}

/// With a comma between thousands.
pub(crate) fn thousands(number: u32) -> String {
    let digits = number.to_string();
    let places = digits.chars().enumerate();
    let separated = places.flat_map(|(place, digit)| {
        let comma = place > 0 && (digits.len() - place).is_multiple_of(3);
        [comma.then_some(','), Some(digit)]
    });
    separated.flatten().collect()
}

#[cfg(test)]
mod tests {
    use poolgate_sim::scenarios;

    use super::*;

    #[test]
    fn another_load_takes_the_place_of_the_highest() {
        let setup = |name: &str| Setup { name: name.to_owned(), scenario: scenarios::load(name).expect("built in") };
        let mut pulse = setup("pulse");
        pulse.raise_to(10.0);
        assert_eq!(pulse.scenario.load.iter().map(|step| step.times).collect::<Vec<_>>(), [0.6, 10.0, 0.6]);
        let mut ramp = setup("ramp");
        ramp.raise_to(5.0);
        assert_eq!((ramp.scenario.load_at(0.0), ramp.scenario.load_at(70.0)), (0.5, 5.0));
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!([1, 999, 1000, 1_000_000].map(thousands), ["1", "999", "1,000", "1,000,000"]);
    }
}
