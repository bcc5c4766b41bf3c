//! What the control law promises, in virtual time and with fixed seeds. The full table is in docs/benchmarks.md; this is
//! the part that is fast enough to be checked with every change.

use poolgate_sim::{meter::Second, peak, report::Report, run, scenario::Scenario, scenarios, schemes};

const SEEDS: [u64; 3] = [1, 2, 3];

#[test]
fn in_overload_the_database_works_at_its_peak() {
    for times in [1.2, 3.0, 10.0] {
        let reports = reports(&with("constant", |scenario| (scenario.load[0].times, scenario.seconds) = (times, 135)));
        assert_at_least("goodput", median(&reports, |report| report.goodput), 0.96, times);
        assert_at_most("arrivals", median(&reports, |report| report.arrivals), 1.12, times);
        assert_at_most("rejected", median(&reports, |report| report.rejected), 0.13, times);
        assert_at_most("wait p99", median(&reports, |report| report.wait.1), 0.1, times);
        assert_at_most("variation", median(&reports, |report| report.variation), 0.06, times);
        assert_at_most("level changes", median(&reports, |report| report.level_changes), 2.0, times);
    }
}

#[test]
fn a_step_is_answered_within_a_second() {
    let scenario = with("step", |_| {});
    for report in reports(&scenario) {
        let after = report.meter.seconds[21..60].iter();
        let arrivals = after.map(|second| f64::from(second.arrived) / scenario.capacity());
        assert_at_most("arrivals", arrivals.fold(0.0, f64::max), 1.25, "after a second");
        assert_at_least("worst second", report.worst_second, 0.8, "from the step on");
    }
}

#[test]
fn after_a_pulse_everything_is_as_before() {
    let scenario = with("pulse", |_| {});
    for report in reports(&scenario) {
        let base = mean(&report.meter.seconds[10..20]);
        assert_at_least("goodput", mean(&report.meter.seconds[51..54]) / base, 0.95, "two seconds later");
        assert!(report.meter.seconds[60..75].iter().all(|second| second.fair_rate.is_none()), "nobody is limited");
    }
}

#[test]
fn heavy_users_get_no_more_than_others() {
    let reports = reports(&with("heavy", |_| {}));
    assert_at_least(
        "Jain's index",
        median(&reports, |report| report.jain),
        0.98,
        "one of ten wants five times as much",
    );
    assert_at_least("least to median", median(&reports, |report| report.least_to_median), 0.6, "the same");
}

#[test]
fn where_there_is_no_overload_nobody_notices() {
    let without = schemes::named("none").expect("a scheme");
    // Of few clients each has many requests that wait when one of them meets a burst of others and is told to return later.
    for (clients, limited, slower) in [(10, 0.1, 1.3), (100, 0.0, 1.15), (1000, 0.0, 1.05), (4000, 0.0, 1.05)] {
        let scenario = with("healthy", |scenario| scenario.clients = clients);
        let report = run(&scenario, &schemes::Poolgate::default(), 1);
        let plain = run(&scenario, &*without, 1);
        assert_at_most("limited", report.limited, limited, clients);
        assert_at_least("goodput", report.served_share / plain.served_share, 0.995, clients);
        assert_at_most("latency p99", report.latency.1 / plain.latency.1, slower, clients);
    }
}

#[test]
fn ten_clients_use_the_whole_capacity() {
    let reports = reports(&with("constant", |scenario| scenario.clients = 10));
    assert_at_least("goodput", median(&reports, |report| report.goodput), 0.95, "10 clients at 3x");
}

#[test]
fn a_database_that_becomes_slow_is_used_as_it_is() {
    let scenario = with("slow-down", |_| {});
    let slow = f64::from(scenario.database.connections) * 1000.0 / (4.0 * scenario.database.mean_ms);
    let shares = reports(&scenario).into_iter().map(|report| mean(&report.meter.seconds[23..50]) / slow);
    assert_at_least("goodput", middle(shares.collect()), 0.93, "from three seconds after the change");
}

#[test]
fn whatever_happens_most_are_served() {
    for (name, from, to) in [
        ("rogues", 15, 75),
        ("hidden", 15, 75),
        ("stream-cut", 30, 75),
        ("restart", 27, 60),
        ("sessions", 15, 75),
        ("reload-storm", 15, 75),
    ] {
        let scenario = with(name, |_| {});
        let shares =
            reports(&scenario).into_iter().map(|report| mean(&report.meter.seconds[from..to]) / peak(&scenario));
        assert_at_least("goodput", middle(shares.collect()), 0.9, name);
    }
}

#[test]
fn a_storm_of_retries_ends_with_its_cause() {
    let scenario = with("retry-storm", |_| {});
    for report in reports(&scenario) {
        let base = mean(&report.meter.seconds[10..20]);
        assert_at_least("goodput", mean(&report.meter.seconds[35..80]) / base, 0.95, "five seconds after the trigger");
    }
}

fn with(name: &str, change: impl FnOnce(&mut Scenario)) -> Scenario {
    let mut scenario = scenarios::load(name).expect("a scenario");
    change(&mut scenario);
    scenario
}

fn reports(scenario: &Scenario) -> Vec<Report> {
    SEEDS.iter().map(|seed| run(scenario, &schemes::Poolgate::default(), *seed)).collect()
}

fn median(reports: &[Report], figure: impl Fn(&Report) -> f64) -> f64 {
    middle(reports.iter().map(figure).collect())
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn mean(seconds: &[Second]) -> f64 {
    seconds.iter().map(|second| f64::from(second.served)).sum::<f64>() / seconds.len() as f64
}

fn assert_at_least(what: &str, value: f64, least: f64, when: impl std::fmt::Debug) {
    assert!(value >= least, "{what} {value:.3} < {least} ({when:?})");
}

fn assert_at_most(what: &str, value: f64, most: f64, when: impl std::fmt::Debug) {
    assert!(value <= most, "{what} {value:.3} > {most} ({when:?})");
}
