//! Which runs there are.

use std::time::Duration;

use crate::wire::{Demand, Habits, Kind, Limiter, Step};

/// A limiter with the users it is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) limiter: Limiter,
    pub(super) kind: Kind,
}

const fn contender(name: &'static str, limiter: Limiter, kind: Kind) -> Contender {
    Contender { name, limiter, kind }
}

const NONE: Contender = contender("none", Limiter::None, Kind::Plain);
const GATE: Contender = contender("poolgate-gate", Limiter::PoolgateGate, Kind::Plain);
const SRE: Contender = contender("sre-throttle", Limiter::FifoGate, Kind::Sre);
const AWS: Contender = contender("aws-adaptive", Limiter::FifoGate, Kind::Aws);
pub(super) const POOLGATE: Contender = contender("poolgate", Limiter::Poolgate, Kind::Poolgate);

const FIFO_GATE: Contender = contender("fifo-gate", Limiter::FifoGate, Kind::Plain);
const HAPROXY: Contender = contender("haproxy", Limiter::Haproxy, Kind::Plain);

/// Those that an app would choose from without measuring.
const USUAL: [Contender; 3] = [POOLGATE, FIFO_GATE, HAPROXY];

/// The loads at which they are compared, as multiples of the peak.
const LOADS: [f64; 9] = [0.6, 0.8, 0.95, 1.05, 1.2, 1.5, 2.0, 3.0, 10.0];

/// All of them, ours first.
const CONTENDERS: [Contender; 15] = [
    POOLGATE,
    GATE,
    NONE,
    FIFO_GATE,
    HAPROXY,
    contender("poolgate-fixed", Limiter::PoolgateFixed, Kind::Poolgate),
    SRE,
    AWS,
    contender("tower-load-shed", Limiter::TowerLoadShed, Kind::Plain),
    contender("tower-resilience", Limiter::TowerResilience, Kind::Plain),
    contender("tower-resilience-tuned", Limiter::TowerResilienceTuned, Kind::Plain),
    contender("congestion-limiter", Limiter::Congestion, Kind::Plain),
    contender("congestion-limiter-tuned", Limiter::CongestionTuned, Kind::Plain),
    contender("little-loadshedder", Limiter::LittleLoadshedder, Kind::Plain),
    contender("little-loadshedder-tuned", Limiter::LittleLoadshedderTuned, Kind::Plain),
];

/// What is done to the contender.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scenario {
    /// The most that the database can do: as many users as keep it busy, each with one request at a time.
    Peak,
    /// This many times the peak, all the time.
    Constant(f64),
    /// The same, counted from the first second on.
    Cold(f64),
    /// The same, with an app that checks a signed token before its gate sees the request.
    Dear(f64),
    /// The same; each user wants things that take three requests, one after the other, waits 10 s for each, and begins
    /// nothing else meanwhile.
    Tasks(f64),
    /// From 0.6 to 4 times the peak and back.
    Pulse,
    /// Twice the peak; a tenth of the users wants five times as much as the others.
    Heavy,
    /// Three times the peak; 30 % of the users ignore what they are told and send at once.
    Rogues,
    /// Three times the peak; this many of the users are tabs of a real browser.
    Tabs(u32),
}

/// One server and one load, started for nothing else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) scenario: Scenario,
    pub(super) contender: Contender,
    pub(super) users: u32,
    pub(super) seed: u64,
    pub(super) quick: bool,
}

/// A user's attempts after the first.
const RETRIES: u32 = 2;
/// Users, unless the scenario says otherwise.
const USERS: u32 = 1_000;
/// Users who keep 20 connections busy although each has only one request at a time.
const CLOSED_USERS: u32 = 40;
/// Few enough for each user to be served often: shares of a handful of requests say nothing.
const USERS_OF_FAIRNESS: u32 = 200;

/// Everything, seed by seed, so that results that are cut short are complete for some seeds.
pub(super) fn runs(seeds: u64, quick: bool) -> Vec<Run> {
    let mut runs = Vec::new();
    for seed in 1..=seeds {
        let mut add = |scenario, contender, users| runs.push(Run { scenario, contender, users, seed, quick });
        add(Scenario::Peak, NONE, CLOSED_USERS);
        for multiple in LOADS {
            for contender in USUAL {
                add(Scenario::Constant(multiple), contender, USERS);
            }
            if multiple < 1.0 {
                add(Scenario::Constant(multiple), NONE, USERS);
            }
        }
        for contender in CONTENDERS.into_iter().filter(|contender| !USUAL.contains(contender)) {
            add(Scenario::Constant(10.0), contender, USERS);
        }
        for multiple in [0.8, 1.2, 3.0] {
            for contender in [POOLGATE, FIFO_GATE] {
                add(Scenario::Cold(multiple), contender, USERS);
            }
        }
        for multiple in [3.0, 10.0] {
            for contender in [POOLGATE, FIFO_GATE, HAPROXY, SRE, AWS] {
                add(Scenario::Dear(multiple), contender, USERS);
            }
        }
        for multiple in [1.2, 3.0] {
            for contender in USUAL {
                add(Scenario::Tasks(multiple), contender, USERS);
            }
        }
        add(Scenario::Constant(3.0), POOLGATE, 10);
        add(Scenario::Constant(3.0), POOLGATE, 4_000);
        add(Scenario::Heavy, POOLGATE, USERS_OF_FAIRNESS);
        add(Scenario::Rogues, POOLGATE, USERS_OF_FAIRNESS);
        add(Scenario::Pulse, POOLGATE, USERS);
        // To see what would have happened otherwise, once is enough.
        if seed == 1 {
            add(Scenario::Pulse, GATE, USERS);
            add(Scenario::Pulse, NONE, USERS);
            for contender in [GATE, SRE, AWS] {
                add(Scenario::Heavy, contender, USERS_OF_FAIRNESS);
            }
        }
    }
    runs
}

/// With real browsers: the peak, and the run itself.
pub(super) fn runs_with_tabs(tabs: u32, seeds: u64, quick: bool) -> Vec<Run> {
    let run = |scenario, contender, users, seed| Run { scenario, contender, users, seed, quick };
    (1..=seeds)
        .flat_map(|seed| {
            let native = USERS_OF_FAIRNESS.saturating_sub(tabs).max(1);
            [run(Scenario::Peak, NONE, CLOSED_USERS, seed), run(Scenario::Tabs(tabs), POOLGATE, native, seed)]
        })
        .collect()
}

/// The pulse, in seconds since the load began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pulse {
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Run {
    /// The scenario, with the users where they are not the usual number, and the contender.
    pub(super) fn name(&self) -> String {
        let users = match self.scenario {
            Scenario::Constant(_) if self.users != USERS => format!("-{}-users", self.users),
            _ => String::new(),
        };
        format!("{}{users}/{}", self.scenario.name(), self.contender.name)
    }

    pub(super) fn describe(&self) -> String {
        let what = match self.scenario {
            Scenario::Peak => "closed loop".to_owned(),
            Scenario::Constant(multiple) => format!("{multiple} times the peak"),
            Scenario::Cold(multiple) => format!("{multiple} times the peak, from the first second on"),
            Scenario::Dear(multiple) => format!("{multiple} times the peak, each request with a token to check"),
            Scenario::Tasks(multiple) => format!("{multiple} times the peak, in tasks of three requests"),
            Scenario::Pulse => "0.6, then 4, then 0.6 times the peak".to_owned(),
            Scenario::Heavy => "twice the peak, a tenth of the users wants five times as much".to_owned(),
            Scenario::Rogues => "three times the peak, 30 % ignore everything".to_owned(),
            Scenario::Tabs(tabs) => format!("and {tabs} tabs of a browser, together three times the peak"),
        };
        format!("{} users, {what}", self.users)
    }

    /// How long all of it takes, as a rule: the load, its users' appearing, and the server's start.
    pub(super) fn duration(&self) -> Duration {
        let (_, seconds) = self.window();
        let appearing = if self.contender.kind == Kind::Poolgate { self.users / 5 + 1_000 } else { 0 };
        Duration::from_secs(seconds.into()) + Duration::from_millis(400 + u64::from(appearing))
    }

    pub(super) fn demand(&self, peak: f64) -> Demand {
        let step = |seconds, multiple| Step { seconds, multiple };
        let (from, to) = self.window();
        let steps = match self.scenario {
            Scenario::Peak => return Demand::Closed { seconds: to },
            Scenario::Constant(multiple)
            | Scenario::Cold(multiple)
            | Scenario::Dear(multiple)
            | Scenario::Tasks(multiple) => vec![step(to, multiple)],
            Scenario::Heavy => vec![step(to, 2.0)],
            Scenario::Rogues => vec![step(to, 3.0)],
            // Each of all wants the same; these are what the native ones want.
            Scenario::Tabs(tabs) => vec![step(to, 3.0 * f64::from(self.users) / f64::from(self.users + tabs))],
            Scenario::Pulse => {
                let pulse = self.pulse().unwrap_or(Pulse { from, to });
                vec![step(pulse.from, 0.6), step(pulse.to - pulse.from, 4.0), step(to - pulse.to, 0.6)]
            }
        };
        Demand::Open { rate: peak, steps }
    }

    /// The seconds of the load that count, `from..to`; before them it settles.
    pub(super) fn window(&self) -> (u32, u32) {
        match (self.scenario, self.quick) {
            (Scenario::Heavy | Scenario::Rogues | Scenario::Tabs(_), false) => (3, 17),
            (Scenario::Heavy | Scenario::Rogues | Scenario::Tabs(_), true) => (3, 13),
            (Scenario::Pulse, false) => (1, 17),
            (Scenario::Pulse, true) => (1, 13),
            (Scenario::Cold(_), _) => (0, 7),
            (Scenario::Tasks(_), false) => (3, 23),
            (Scenario::Tasks(_), true) => (2, 16),
            (_, false) => (3, 13),
            (_, true) => (2, 6),
        }
    }

    /// When the pulse is.
    pub(super) fn pulse(&self) -> Option<Pulse> {
        let to = if self.quick { 8 } else { 11 };
        (self.scenario == Scenario::Pulse).then_some(Pulse { from: 4, to })
    }

    /// How many of the users are tabs of a browser.
    pub(super) fn tabs(&self) -> u32 {
        if let Scenario::Tabs(tabs) = self.scenario { tabs } else { 0 }
    }

    pub(super) fn habits(&self) -> Habits {
        let one = Habits { retries: RETRIES, ..Habits::ONE_REQUEST };
        match self.scenario {
            Scenario::Tasks(_) => Habits { requests: 3, patience: Duration::from_secs(10), ..one },
            _ => one,
        }
    }

    pub(super) fn heavy_share(&self) -> f64 {
        if self.scenario == Scenario::Heavy { 0.1 } else { 0.0 }
    }

    pub(super) fn rogue_share(&self) -> f64 {
        if self.scenario == Scenario::Rogues { 0.3 } else { 0.0 }
    }
}

impl Scenario {
    pub(super) fn name(self) -> String {
        match self {
            Self::Peak => "peak".to_owned(),
            Self::Constant(multiple) => format!("{multiple}x"),
            Self::Cold(multiple) => format!("cold-{multiple}x"),
            Self::Dear(multiple) => format!("dear-{multiple}x"),
            Self::Tasks(multiple) => format!("tasks-{multiple}x"),
            Self::Pulse => "pulse".to_owned(),
            Self::Heavy => "heavy".to_owned(),
            Self::Rogues => "rogues".to_owned(),
            Self::Tabs(_) => "tabs".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_run_has_a_name_of_its_own_and_the_peak_comes_first() {
        let runs = runs(2, false);
        let names: BTreeSet<(u64, String)> = runs.iter().map(|run| (run.seed, run.name())).collect();
        assert_eq!(names.len(), runs.len());
        for seed in [1, 2] {
            let first = runs.iter().find(|run| run.seed == seed).expect("runs of each seed");
            assert_eq!(first.scenario, Scenario::Peak);
        }
    }

    #[test]
    fn the_full_measurement_takes_an_hour() {
        let time: Duration = runs(3, false).iter().map(Run::duration).sum();
        assert!(time <= Duration::from_secs(60 * 60), "{time:?}");
    }

    #[test]
    fn the_window_is_within_the_load() {
        for run in runs(1, true).into_iter().chain(runs(1, false)) {
            let (from, to) = run.window();
            assert!(from < to && to == run.demand(1.0).seconds(), "{}", run.name());
        }
    }
}
