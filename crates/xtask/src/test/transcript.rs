//! The output of one step: kept in a file, counted, and shown if the step failed.

use std::fmt;
use std::fs;
use std::io::Write;
use std::iter;
use std::mem;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use super::count::{Count, Counts};
use super::second_try;
use crate::process;

/// The limit for a step; a cold build on two cores takes a third of it.
const DEADLINE: Duration = Duration::from_secs(40 * 60);
/// Prefixes of failure messages in the output of cargo, libtest, Node's runner and tsc.
const SIGNS: [&str; 5] = ["panicked at", "error:", "error[", "not ok ", "error TS"];
/// Lines shown from each such prefix on, and from the end.
const AFTER_SIGN: usize = 16;
const AT_END: usize = 40;
/// Lines shown in all.
const SHOWN: usize = 300;

/// The output of one step.
pub(super) struct Transcript {
    path: PathBuf,
    counts: Counts,
    skipped: Option<String>,
    /// Tests that failed and passed when they ran again.
    recovered: Vec<String>,
    /// Results in the file that are not those of further tests.
    counted_twice: Count,
}

/// How a step ended.
pub(super) struct Outcome {
    pub(super) count: Count,
    /// Why the step was skipped, if it cannot run on this machine.
    pub(super) skipped: Option<String>,
    /// Tests that have failed, as far as their runner names them.
    pub(super) failed: Vec<String>,
    /// Tests that passed at the second try only.
    pub(super) recovered: Vec<String>,
    counts: Counts,
}

impl Transcript {
    /// An empty file named after the step.
    pub(super) fn new(folder: &Path, number: usize, name: &str, counts: Counts) -> Result<Self> {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = folder.join(format!("{number:02}-{name}.log"));
        fs::write(&path, "")?;
        Ok(Self::at(path, counts))
    }

    fn at(path: PathBuf, counts: Counts) -> Self {
        Self { path, counts, skipped: None, recovered: Vec::new(), counted_twice: Count::default() }
    }

    /// Runs a command with its output in the file; an error if it fails. If only a few tests fail, they have a
    /// [second try](second_try).
    pub(super) fn run(&mut self, command: &mut Command) -> Result<()> {
        let before = self.text()?.len();
        let Err(error) = self.run_once(command) else {
            return Ok(());
        };
        let first = self.text()?.split_off(before);
        let Some(mut again) = second_try::command(command, &first, self.counts) else {
            return Err(error);
        };
        let before = self.text()?.len();
        let result = self.run_once(&mut again);
        let second = Count::read(&self.text()?.split_off(before), self.counts);
        let failed_first = Count::read(&first, self.counts).failed;
        let passed = (second.passed + second.failed).saturating_sub(failed_first);
        self.counted_twice += Count { passed, failed: failed_first };
        if result.is_ok() {
            self.recovered.extend(second_try::failed(&first, self.counts));
        }
        result
    }

    fn run_once(&self, command: &mut Command) -> Result<()> {
        // Commands are marked in the file; colours would only disturb.
        self.note(&format!("$ {command:?}"))?;
        command.env("CARGO_TERM_COLOR", "never").env("NO_COLOR", "true").env_remove("FORCE_COLOR");
        // Errors of the tools need no backtrace; panics in tests keep theirs.
        command.env("RUST_LIB_BACKTRACE", "0");
        let status = process::run_logged(command, &self.path, DEADLINE)?;
        if !status.success() {
            bail!("ended with {status}");
        }
        Ok(())
    }

    /// Runs commands, this many at a time, in their order; in the file their outputs follow each other. All run, even
    /// if one fails.
    pub(super) fn run_together(&mut self, commands: Vec<Command>, at_once: usize) -> Result<()> {
        let path = |number: usize| self.path.with_extension(format!("{number}.log"));
        let mut transcripts = Vec::new();
        for number in 0..commands.len() {
            fs::write(path(number), "")?;
            transcripts.push(Self::at(path(number), self.counts));
        }
        let waiting = Mutex::new(transcripts.iter_mut().zip(commands));
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || iter::from_fn(next).map(|(aside, mut command)| aside.run(&mut command)).collect();
        let results: Vec<Result<()>> = thread::scope(|scope| {
            let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
            let panicked = |_| vec![Err(anyhow!("the thread that ran it panicked"))];
            workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(panicked)).collect()
        });
        for aside in transcripts {
            self.note(&aside.text()?)?;
            fs::remove_file(&aside.path)?;
            self.recovered.extend(aside.recovered);
            self.counted_twice += aside.counted_twice;
        }
        results.into_iter().collect()
    }

    /// Records that the step cannot run on this machine; it counts neither as passed nor as failed.
    pub(super) fn skip(&mut self, reason: &str) {
        self.skipped = Some(reason.to_owned());
    }

    /// Adds a line to the file.
    pub(super) fn note(&self, line: &str) -> Result<()> {
        let mut file = fs::File::options().append(true).create(true).open(&self.path)?;
        Ok(writeln!(file, "{line}")?)
    }

    /// What the file holds so far.
    pub(super) fn text(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.path)?).into_owned())
    }

    /// Counts the step's tests. A step with an error has failed even if no test has, and so has a test runner that ran
    /// nothing.
    pub(super) fn outcome(&mut self, result: Result<()>) -> Result<Outcome> {
        let counts = self.counts;
        let text = self.text()?;
        let mut count = Count::read(&text, counts);
        count.passed -= self.counted_twice.passed;
        count.failed -= self.counted_twice.failed;
        let recovered = mem::take(&mut self.recovered);
        let mut failed = second_try::failed(&text, counts);
        failed.retain(|name| !recovered.contains(name));
        failed.dedup();
        match result {
            Err(error) => {
                self.note(&format!("{error:#}"))?;
                count.failed = count.failed.max(1);
            }
            Ok(()) if self.skipped.is_some() => {}
            Ok(()) if counts == Counts::Itself => count.passed = 1,
            Ok(()) if count == Count::default() => {
                self.note("no test ran")?;
                count.failed = 1;
            }
            Ok(()) => {}
        }
        Ok(Outcome { count, skipped: self.skipped.take(), failed, recovered, counts })
    }

    /// An excerpt for the user: the failure messages and the end.
    pub(super) fn excerpt(&self) -> Result<String> {
        let text = self.text()?;
        let lines: Vec<&str> = text.lines().collect();
        let end = lines.len().saturating_sub(AT_END);
        let mut shown_until = 0;
        let mut excerpt = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            if SIGNS.iter().any(|sign| line.contains(sign)) {
                shown_until = number + AFTER_SIGN;
            }
            if number >= end || (number < shown_until && excerpt.len() < SHOWN - AT_END) {
                excerpt.push(format!("      | {line}"));
            }
        }
        excerpt.push(format!("      full output: {}", self.path.display()));
        Ok(excerpt.join("\n"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { passed, failed } = self.count;
        match (self.counts, failed) {
            _ if self.skipped.is_some() => write!(f, "skipped"),
            (Counts::Itself, 0) => write!(f, "ok"),
            (Counts::Itself, _) => write!(f, "FAILED"),
            (_, 0) if self.recovered.is_empty() => write!(f, "ok, {passed} tests"),
            (_, 0) => write!(f, "ok, {passed} tests, {} at the second try", self.recovered.len()),
            (_, _) => write!(f, "FAILED, {passed} tests passed and {failed} failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(name: &str, counts: Counts) -> Transcript {
        let folder = std::env::temp_dir().join(format!("xtask-transcript-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Transcript::new(&folder, 1, name, counts).unwrap()
    }

    #[test]
    fn a_runner_that_runs_nothing_has_failed() {
        let mut transcript = transcript("nothing", Counts::NodeTests);
        let outcome = transcript.outcome(Ok(())).unwrap();
        assert_eq!(outcome.count, Count { passed: 0, failed: 1 });
        assert!(transcript.excerpt().unwrap().contains("no test ran"));
    }

    #[test]
    fn an_error_fails_the_step_though_its_tests_passed() {
        let mut transcript = transcript("error", Counts::RustTests);
        transcript.note("test result: ok. 3 passed; 0 failed;").unwrap();
        let result = transcript.run(Command::new("cargo").arg("--no-such-flag"));
        let outcome = transcript.outcome(result).unwrap();
        assert_eq!(outcome.count, Count { passed: 3, failed: 1 });
    }

    #[test]
    fn a_failure_in_the_middle_is_shown() {
        let transcript = transcript("middle", Counts::Itself);
        for number in 0..500 {
            transcript.note(&format!("line {number}")).unwrap();
            if number == 200 {
                transcript.note("thread 'x' panicked at src/lib.rs:1:1:").unwrap();
            }
        }
        let excerpt = transcript.excerpt().unwrap();
        for line in ["panicked at src/lib.rs", "line 201", "line 499"] {
            assert!(excerpt.contains(line), "{line}");
        }
        assert!(!excerpt.contains("line 300"));
    }

    #[test]
    fn a_skipped_step_counts_neither_way() {
        let mut transcript = transcript("skipped", Counts::Itself);
        transcript.skip("no network");
        let outcome = transcript.outcome(Ok(())).unwrap();
        assert_eq!(outcome.count, Count::default());
        assert_eq!(outcome.skipped.as_deref(), Some("no network"));
    }

    #[test]
    fn all_commands_that_run_together_count() {
        let mut transcript = transcript("together", Counts::RustTests);
        let says = |text: &str, code: u8| {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("echo 'test result: {text};'; exit {code}")]);
            command
        };
        let failing = says("FAILED. 1 passed; 1 failed", 101);
        let commands = vec![says("ok. 3 passed; 0 failed", 0), failing, says("ok. 5 passed; 0 failed", 0)];
        let result = transcript.run_together(commands, 2);
        assert!(result.is_err());
        let outcome = transcript.outcome(result).unwrap();
        assert_eq!(outcome.count, Count { passed: 9, failed: 1 });
    }

    #[test]
    fn a_test_that_passes_at_its_second_try_is_named_and_counts_once() {
        let mut transcript = transcript("second", Counts::RustTests);
        let mut fails_once = Command::new("sh");
        let script = r#"for name in "$@"; do if [ "$name" = --exact ]; then
            echo 'test result: ok. 1 passed; 0 failed;'; exit 0; fi; done
            printf 'failures:\n    a::b\n\ntest result: FAILED. 2 passed; 1 failed;\n'; exit 101"#;
        let result = transcript.run(fails_once.args(["-c", script, "test", "--"]));
        let outcome = transcript.outcome(result).unwrap();
        assert_eq!(outcome.count, Count { passed: 3, failed: 0 });
        assert_eq!((outcome.recovered, outcome.failed), (vec!["a::b".to_owned()], vec![]));
    }

    #[test]
    fn a_test_that_fails_twice_has_failed() {
        let mut transcript = transcript("twice", Counts::RustTests);
        let mut fails = Command::new("sh");
        let script = r"printf 'failures:\n    a::b\n\ntest result: FAILED. 0 passed; 1 failed;\n'; exit 101";
        let result = transcript.run(fails.args(["-c", script, "test", "--"]));
        let outcome = transcript.outcome(result).unwrap();
        assert_eq!(outcome.count, Count { passed: 0, failed: 1 });
        assert_eq!(outcome.failed, ["a::b"]);
    }

    #[test]
    fn a_command_counts_as_one_test() {
        let mut transcript = transcript("one", Counts::Itself);
        let result = transcript.run(Command::new("cargo").arg("--version"));
        let outcome = transcript.outcome(result).unwrap();
        assert_eq!(outcome.count, Count { passed: 1, failed: 0 });
    }
}
