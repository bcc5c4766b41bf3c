//! Model check of the connection budget: processes that join, crash, pause and are cut off, a store that loses
//! messages, answers late, falls silent or is emptied, a database that restarts, and clocks of different rates, all in
//! virtual time. At no instant may the database have more connections than the budget.

mod process;
mod world;

use std::{num::NonZero, thread};

use world::{Plan, World};

/// Runs these seeds on all processors; returns the violations.
fn check(seeds: std::ops::Range<u64>, plan: Plan) -> Vec<String> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    thread::scope(|scope| {
        let run = |worker| {
            let mine = seeds.clone().filter(move |seed| seed % workers == worker);
            move || mine.filter_map(|seed| World::new(seed, plan).run().err()).collect::<Vec<_>>()
        };
        let running: Vec<_> = (0..workers).map(|worker| scope.spawn(run(worker))).collect();
        running
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|_| vec!["a world has panicked".to_owned()]))
            .collect()
    })
}

fn assert_none(violations: &[String]) {
    let first = violations.first().map_or("", String::as_str);
    assert!(violations.is_empty(), "{} violations, the first: {first}", violations.len());
}

#[test]
fn the_budget_holds_whatever_happens() {
    assert_none(&check(0..300, Plan::AS_PROMISED));
}

/// The same with ten thousand seeds: `cargo test -p poolgate-control --test cluster_model -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn the_budget_holds_over_ten_thousand_seeds() {
    assert_none(&check(0..10_000, Plan::AS_PROMISED));
}

#[test]
fn the_check_finds_a_cluster_with_more_processes_than_planned() {
    let found = check(0..30, Plan { more_processes: true });
    assert!(!found.is_empty(), "twice as many processes as max_replicas, and no violation");
}
