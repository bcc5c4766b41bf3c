//! A second try for tests that failed.
//!
//! Many tests measure real servers and browsers. A machine that pauses for seconds fails one of thousands. So the tests
//! that failed run once more, by themselves. If they pass, the step passes, and the summary names them: a test that
//! often needs its second try must be mended. If many fail, it is no accident, and there is no second try.

use std::path::{Component, Path};
use std::process::Command;

use super::count::Counts;

/// If more tests of one command fail, they have failed.
const MOST: usize = 3;

/// The names of the tests that failed, from a runner's output.
pub(super) fn failed(output: &str, counts: Counts) -> Vec<String> {
    match counts {
        Counts::Itself => Vec::new(),
        Counts::RustTests => failed_in_rust(output),
        Counts::NodeTests => failed_in_node(output).into_iter().map(|(name, _)| name.to_owned()).collect(),
    }
}

/// The command that runs only the tests that failed in the output of `command`; none if too many failed, or if the
/// command cannot choose.
pub(super) fn command(command: &Command, output: &str, counts: Counts) -> Option<Command> {
    let names = failed(output, counts);
    if names.is_empty() || names.len() > MOST {
        return None;
    }
    match counts {
        Counts::Itself => None,
        Counts::RustTests => takes_names(command).then(|| {
            let mut again = like(command);
            again.args(command.get_args()).arg("--exact").args(names);
            again
        }),
        Counts::NodeTests => {
            let failed = failed_in_node(output);
            let mut again = like(command);
            let mut files = 0;
            for argument in command.get_args() {
                let text = argument.to_string_lossy();
                let is_file = text.ends_with(".test.js");
                if is_file && !failed.iter().any(|(_, place)| place.contains(&*text)) {
                    continue;
                }
                files += usize::from(is_file);
                again.arg(argument);
            }
            (files > 0).then_some(again)
        }
    }
}

/// The same program in the same folder with the same variables, without arguments.
fn like(command: &Command) -> Command {
    let mut again = Command::new(command.get_program());
    if let Some(folder) = command.get_current_dir() {
        again.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => again.env(name, value),
            None => again.env_remove(name),
        };
    }
    again
}

/// Whether names of tests can follow the arguments: a test binary, or cargo with arguments for one.
fn takes_names(command: &Command) -> bool {
    let is_binary =
        Path::new(command.get_program()).components().any(|part| part == Component::Normal("deps".as_ref()));
    is_binary || command.get_args().any(|argument| argument == "--")
}

/// libtest lists the names at the end of each binary's output, below a line `failures:`.
fn failed_in_rust(output: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut lines = output.lines();
    while let Some(line) = lines.next() {
        if line == "failures:" {
            let block = lines.by_ref().map_while(|line| line.strip_prefix("    "));
            names.extend(block.filter(|name| !name.contains(' ')).map(str::to_owned));
        }
    }
    names
}

/// Node prints `not ok 1 - name`, then `location: 'file:line:column'` and the type of the failure. A test that failed
/// only because of its subtests is left out. Returns names and locations.
fn failed_in_node(output: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut name = None;
    let mut place = "";
    for line in output.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("not ok ") {
            name = rest.split_once(" - ").map(|(_, name)| name);
        } else if let Some(location) = line.strip_prefix("location: ") {
            place = location;
        } else if let Some(kind) = line.strip_prefix("failureType: ")
            && let Some(name) = name.take()
            && kind != "'subtestsFailed'"
        {
            found.push((name, place));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUST: &str = "running 3 tests\ntest a::b ... FAILED\n\nfailures:\n\n---- a::b stdout ----\nno\n\n\
        failures:\n    a::b\n    c\n\ntest result: FAILED. 1 passed; 2 failed; 0 ignored\n";
    const NODE: &str = "    not ok 1 - child\n      ---\n      location: '/t/page.test.js:2:34'\n      \
        failureType: 'testCodeFailure'\n      ...\nnot ok 1 - parent\n  ---\n  location: '/t/page.test.js:2:1'\n  \
        failureType: 'subtestsFailed'\n  ...\n# pass 5\n# fail 2\n";

    fn arguments(command: &Command) -> Vec<String> {
        command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn tests_that_failed_in_a_binary_run_again_by_their_names() {
        let mut first = Command::new("/target/debug/deps/program-1");
        first.arg("--nocapture").current_dir("/tmp").env("TEST_A", "b");
        let again = command(&first, RUST, Counts::RustTests).unwrap();
        assert_eq!(arguments(&again), ["--nocapture", "--exact", "a::b", "c"]);
        assert_eq!(again.get_current_dir(), Some(Path::new("/tmp")));
        assert_eq!(again.get_envs().count(), 1);
    }

    #[test]
    fn cargo_gets_names_only_behind_two_dashes() {
        assert!(command(Command::new("cargo").args(["test", "--doc"]), RUST, Counts::RustTests).is_none());
        let again = command(Command::new("cargo").args(["test", "--", "--ignored"]), RUST, Counts::RustTests);
        assert_eq!(arguments(&again.unwrap()), ["test", "--", "--ignored", "--exact", "a::b", "c"]);
    }

    #[test]
    fn node_runs_the_files_again_in_which_a_test_failed() {
        assert_eq!(failed(NODE, Counts::NodeTests), ["child"]);
        let mut first = Command::new("node");
        let again = command(first.args(["--test", "/t/page.test.js", "/t/tabs.test.js"]), NODE, Counts::NodeTests);
        assert_eq!(arguments(&again.unwrap()), ["--test", "/t/page.test.js"]);
    }

    #[test]
    fn many_failures_get_no_second_try() {
        let output = "failures:\n    a\n    b\n    c\n    d\n\n";
        assert_eq!(failed(output, Counts::RustTests).len(), 4);
        assert!(command(&Command::new("/deps/a"), output, Counts::RustTests).is_none());
        assert!(command(&Command::new("/deps/a"), "failures:\n\n", Counts::RustTests).is_none());
    }
}
