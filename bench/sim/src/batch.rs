//! Many runs, one on each core.

use std::{
    io::{IsTerminal, Write, stderr},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use poolgate_sim::report::Report;

use crate::plan::{Case, Plan};

/// A batch that takes longer shows its progress.
const LONG: Duration = Duration::from_secs(3);

/// A case and the reports of its runs, in the order of the seeds from 1 on.
#[derive(Debug)]
pub(crate) struct Result {
    pub(crate) case: Case,
    pub(crate) reports: Vec<Report>,
}

/// Runs everything; the results are in the order of the plan.
pub(crate) fn run(plan: &Plan) -> Vec<Result> {
    let runs: Vec<(&Case, u64)> =
        plan.cases.iter().flat_map(|case| (1..=plan.seeds).map(move |seed| (case, seed))).collect();
    let mut reports = spread(&runs, plan.threads, |(case, seed)| run_one(case, *seed)).into_iter();
    plan.cases
        .iter()
        .map(|case| Result { case: case.clone(), reports: reports.by_ref().take(plan.seeds as usize).collect() })
        .collect()
}

/// Does `work` for each of `runs` on `threads` threads; the results are in the order of the runs.
pub(crate) fn spread<R: Sync, T: Send>(runs: &[R], threads: usize, work: impl Fn(&R) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(runs.len()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads.min(runs.len()) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(run) = runs.get(number) else { break };
                    let result = work(run);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((number, result));
                    show_progress(done.len(), runs.len(), began.elapsed());
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Default number of runs at a time.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// For titles: `; with adaptive.overcommit=1.1`, or nothing.
pub(crate) fn what_was_set(results: &[Result]) -> String {
    let set = results.iter().map(|result| &result.case.contender.set).find(|set| !set.is_empty());
    set.map(|set| format!("; with {set}")).unwrap_or_default()
}

fn run_one(case: &Case, seed: u64) -> Report {
    let mut report = poolgate_sim::run(&case.setup.scenario, &*case.contender.scheme(), seed);
    // The report's figures are computed; a batch of runs with a million clients could not keep the raw values.
    report.meter.wished = Vec::new();
    report.meter.served = Vec::new();
    report.meter.waits = Vec::new();
    report.meter.latencies = Vec::new();
    report
}

/// Shows one line on standard error if it is a terminal; each replaces the last, and the end clears it.
fn show_progress(done: usize, total: usize, passed: Duration) {
    if passed < LONG || !stderr().is_terminal() {
        return;
    }
    let left = passed.mul_f64((total - done) as f64 / done as f64).as_secs();
    let line = if done < total { format!("{done} of {total} runs, about {left} s left") } else { String::new() };
    // Progress is not worth an error.
    let _ = write!(stderr(), "\r\x1b[K{line}");
}
