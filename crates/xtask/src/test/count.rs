//! Counts passed and failed tests in the output of test runners.

use std::ops::AddAssign;

/// Tests that passed and tests that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: u32,
    pub(super) failed: u32,
}

/// What a step counts as tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    /// The step itself.
    Itself,
    /// `test result: ok. 12 passed; 0 failed; …`, as libtest and wasm-bindgen-test print for each binary.
    RustTests,
    /// `# pass 12` and `# fail 0`, as Node's runner prints, once for each run.
    NodeTests,
}

impl Count {
    /// Reads a runner's output.
    pub(super) fn read(output: &str, counts: Counts) -> Self {
        let mut count = Self::default();
        for line in output.lines().map(str::trim) {
            match counts {
                Counts::Itself => break,
                Counts::RustTests => {
                    let Some(result) = line.strip_prefix("test result: ") else {
                        continue;
                    };
                    for part in result.split([';', '.']) {
                        count.passed += number_before(part, "passed");
                        count.failed += number_before(part, "failed");
                    }
                }
                Counts::NodeTests => {
                    let Some(line) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) else {
                        continue;
                    };
                    count.passed += number_after(line, "pass");
                    // A test cancelled by a deadline has not passed.
                    count.failed += number_after(line, "fail") + number_after(line, "cancelled");
                }
            }
        }
        count
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// 12 of " 12 passed".
fn number_before(part: &str, word: &str) -> u32 {
    part.trim().strip_suffix(word).and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// 12 of "pass 12".
fn number_after(line: &str, word: &str) -> u32 {
    line.strip_prefix(word).and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_results_are_added_up() {
        let output = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 40 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.25s\n";
        assert_eq!(Count::read(output, Counts::RustTests), Count { passed: 43, failed: 2 });
    }

    #[test]
    fn node_results_are_added_up_in_both_notations() {
        let output = "# tests 7\n# suites 0\n# pass 5\n# fail 1\n# cancelled 1\n# skipped 0\nℹ pass 4\nℹ fail 0\n";
        assert_eq!(Count::read(output, Counts::NodeTests), Count { passed: 9, failed: 2 });
    }

    #[test]
    fn other_lines_count_nothing() {
        let output = "error: could not compile\n# passing by\npass 3\n";
        for counts in [Counts::Itself, Counts::RustTests, Counts::NodeTests] {
            assert_eq!(Count::read(output, counts), Count::default());
        }
    }
}
