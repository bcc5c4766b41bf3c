//! The program as users start it: its output and its files.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use poolgate_bench_rivals as rivals;
use poolgate_sim::{scenario::Scenario, scenarios};

const SCENARIO: &str = r#"
title = "Short & sharp: \"3 < 4\""
seconds = 5
warm_up_seconds = 1
clients = 20
load = [{ at = 0, times = 3 }]
faults = [{ at = 3, seconds = 1, kind = "slow" }]
[database]
connections = 4
"#;

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_poolgate-bench-sim")).args(arguments).output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it writes UTF-8")
}

/// Runs two schemes at two loads with two seeds. Returns the output and the files by name.
fn run_in(folder: &Path) -> (Output, BTreeMap<String, String>) {
    let scenario = folder.join("short.toml");
    fs::write(&scenario, SCENARIO).expect("the folder is ours");
    let (scenario, out) = (scenario.display().to_string(), folder.join("out"));
    let output = out.display().to_string();
    let options = ["--scheme", "codel-gate,poolgate", "--times", "2,4", "--seeds", "2", "--csv", &output];
    let done = sim(
        &[&["run", &scenario, "--svg", &output, "--set", "overcommit=1.1", "--each-second"], &options[..]].concat()
    );
    let files = fs::read_dir(&out).expect("it was made").map(|file| {
        let path = file.expect("it can be read").path();
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("it is text"))
    });
    (done, files.collect())
}

#[test]
fn a_run_prints_a_table_and_writes_well_formed_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let (done, files) = run_in(folder.path());
    assert!(done.status.success(), "{}", text(&done.stderr));
    let table = text(&done.stdout);
    for expected in
        ["short: Short & sharp", "20 clients", "with overcommit=1.1", "medians and ranges of 2 seeds", "seed 1"]
    {
        assert!(table.contains(expected), "{expected} is missing in:\n{table}");
    }
    assert!(table.lines().take(16).all(|line| line.chars().count() <= 130), "{table}");

    let names: Vec<_> = files.keys().map(String::as_str).collect();
    let plots = ["short-20-2-seconds.svg", "short-20-4-seconds.svg", "short-20-arrivals.svg", "short-20-goodput.svg"];
    assert_eq!(names, [&["seconds.csv"], &plots[..], &["summary.csv"]].concat());
    assert_eq!(rows(&files["summary.csv"]).len(), 2 * 2 * 2);
    assert_eq!(rows(&files["seconds.csv"]).len(), 2 * 2 * 2 * 5);
    for plot in plots {
        let svg = &files[plot];
        let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{plot}: {error}\n{svg}"));
        let texts: Vec<_> = document.descendants().filter_map(|node| node.text()).collect();
        assert!(texts.iter().any(|text| text.contains("codel-gate")), "{plot}: {texts:?}");
        assert!(texts.iter().any(|text| text.contains("overcommit=1.1")), "{plot}: {texts:?}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{plot}");
    }
}

#[test]
fn equal_seeds_give_equal_files() {
    let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (a, b) = (run_in(first.path()), run_in(second.path()));
    assert_eq!(text(&a.0.stdout), text(&b.0.stdout));
    assert_eq!(a.1, b.1);
}

#[test]
fn equal_seeds_give_equal_reports_under_every_scheme() {
    let scenario = Scenario::parse(SCENARIO).expect("it is valid");
    let report = |place: usize, seed| format!("{:?}", poolgate_sim::run(&scenario, &*rivals::all()[place], seed));
    for place in 0..rivals::all().len() {
        assert_eq!(report(place, 7), report(place, 7));
        assert_ne!(report(place, 7), report(place, 8), "the seed must matter");
    }
}

#[test]
fn the_list_is_complete() {
    let list = text(&sim(&["list"]).stdout);
    let schemes = rivals::all();
    let scenarios = scenarios::names().map(|name| (name, scenarios::load(name).expect("built in").title));
    let entries = scenarios.chain(schemes.iter().map(|scheme| (scheme.name(), scheme.about().to_owned())));
    for (name, about) in entries {
        let is_here = |line: &str| line.trim_start().starts_with(name) && line.ends_with(&about);
        assert!(list.lines().any(is_here), "{name} is missing in:\n{list}");
    }
    assert!(list.contains("adaptive.overcommit"), "{list}");
}

#[test]
fn a_scenario_without_a_command_is_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = folder.path().join("short.toml");
    fs::write(&scenario, SCENARIO).expect("the folder is ours");
    let scenario = scenario.display().to_string();
    let (short, long) = (sim(&[&scenario, "--seeds", "1"]), sim(&["run", &scenario, "--seeds", "1"]));
    assert!(short.status.success(), "{}", text(&short.stderr));
    assert_eq!(text(&short.stdout), text(&long.stdout));
    assert!(!sim(&[]).status.success(), "nothing was asked for");
}

#[test]
fn mistakes_say_what_to_do() {
    for (arguments, expected) in [
        (&["run", "nowhere"][..], "built in: healthy,"),
        (&["run", "step", "--scheme", "magic"], "no scheme `magic`; there are none, fifo-gate"),
        (&["run", "step", "--scheme", "none", "--set", "overcommit=1.1"], "was not asked for"),
        (&["run", "step", "--set", "overcommit=7"], "from 1 to 2"),
        (&["run", "step", "--seconds", "5"], "must be more"),
        (&["run", "step", "--times", "5000"], "from 0 to 1,000"),
        (&["run", "step", "--clients", "0"], "from 1 to 1,000,000"),
        (&["run", "step", "step"], "give each but once"),
    ] {
        let done = sim(arguments);
        let complaint = text(&done.stderr);
        assert!(!done.status.success() && complaint.contains(expected), "{arguments:?}: {complaint}");
        assert!(done.stdout.is_empty(), "{arguments:?}");
    }
}

/// The rows of a CSV file, by column.
fn rows(csv: &str) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(csv.as_bytes()).deserialize().map(|row| row.expect("it is well formed")).collect()
}
