//! The promises of the control law that are fast enough to check with every change, with fixed seeds. docs/benchmarks.md
//! has all of them.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use poolgate_sim::goals::{Trial, trials};

/// Odd, so that one of them is the median.
const SEEDS: [u64; 3] = [1, 2, 3];

#[test]
fn the_law_keeps_its_promises() {
    let trials: Vec<&Trial> = trials().filter(|trial| !trial.slow).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut broken = Vec::new();
        while let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
            broken.extend(broken_promises(trial));
        }
        broken
    };
    let broken: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no trial panics")).collect()
    });
    assert!(broken.is_empty(), "broken:\n{}", broken.join("\n"));
}

fn broken_promises(trial: &Trial) -> Vec<String> {
    let runs = SEEDS.map(|seed| trial.run(seed).expect("a built-in scenario"));
    let check = trial.goals.iter().filter_map(|goal| {
        let mut figures = runs.each_ref().map(|run| goal.measure(run));
        figures.sort_by(f64::total_cmp);
        let kept = goal.target.is_met_by(figures[SEEDS.len() / 2]);
        (!kept).then(|| format!("{}: {}: {figures:.3?}, {:?}", trial.title, goal.figure, goal.target))
    });
    check.collect()
}
