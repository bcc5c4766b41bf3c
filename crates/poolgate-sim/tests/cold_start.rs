//! A pool that has yet to open its connections harms nobody who would be served once they are open.

use poolgate_sim::{report::Report, run, scenario::Scenario, scenarios, schemes};

const SEEDS: std::ops::RangeInclusive<u64> = 1..=8;
const LOADS: [f64; 4] = [0.3, 0.6, 0.8, 0.9];

/// Who sends the load.
#[derive(Clone, Copy, Debug)]
enum Senders {
    /// 200 clients that obey.
    Obeying,
    /// One address that never listens.
    Plain,
}

fn scenario(senders: Senders, load: f64, connect_ms: f64) -> Scenario {
    let mut scenario = scenarios::load("cold-start").expect("it is built in");
    scenario.load[0].times = load;
    scenario.database.connect_ms = connect_ms;
    if matches!(senders, Senders::Plain) {
        scenario.clients = 1;
        scenario.users.rogue_share = 1.0;
        scenario.users.retries = 0;
    }
    scenario
}

fn poolgate(scenario: &Scenario, seed: u64) -> Report {
    run(scenario, &schemes::Poolgate::default(), seed)
}

/// Runs of every kind of sender, load and seed in which more than `most` of the arrivals were turned away, or anybody was
/// limited.
fn harmed(connect_ms: f64, most: f64, change: impl Fn(&mut Scenario)) -> Vec<String> {
    let mut harmed = Vec::new();
    for senders in [Senders::Obeying, Senders::Plain] {
        for load in LOADS {
            for seed in SEEDS {
                let mut scenario = scenario(senders, load, connect_ms);
                change(&mut scenario);
                let report = poolgate(&scenario, seed);
                if report.rejected > most || report.limited > 0.0 {
                    let (rejected, limited) = (100.0 * report.rejected, 30.0 * report.limited);
                    harmed.push(format!(
                        "{senders:?}, {load} times the capacity, seed {seed}: {rejected:.1} % rejected, limited for {limited:.1} s"
                    ));
                }
            }
        }
    }
    harmed
}

#[track_caller]
fn nobody(harmed: Vec<String>) {
    assert!(harmed.is_empty(), "{} runs:\n{}", harmed.len(), harmed.join("\n"));
}

#[test]
fn a_start_with_an_empty_pool_limits_nobody() {
    nobody(harmed(50.0, 0.01, |_| ()));
}
