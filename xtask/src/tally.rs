//! Counting tests: what libtest and pytest print, read into one sum.

use std::fmt;
use std::ops::AddAssign;

/// Numbers of tests (or of checks, for a step that runs no tests).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

/// Who printed the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    /// No tests inside: the step itself passes or fails.
    Check,
    /// Rust's test harness, for any number of test programs.
    Libtest,
    Pytest,
}

impl Tally {
    pub(crate) const PASSED: Self = Self {
        passed: 1,
        failed: 0,
        skipped: 0,
    };
    pub(crate) const FAILED: Self = Self {
        passed: 0,
        failed: 1,
        skipped: 0,
    };
    pub(crate) const SKIPPED: Self = Self {
        passed: 0,
        failed: 0,
        skipped: 1,
    };

    /// Reads the output of a step; one that failed without a failed test counts as one failed.
    pub(crate) fn of(runner: Runner, output: &str, succeeded: bool) -> Self {
        let mut tally = match runner {
            Runner::Check if succeeded => Self::PASSED,
            Runner::Check => Self::FAILED,
            Runner::Libtest => libtest(output),
            Runner::Pytest => pytest(output),
        };
        if !succeeded && tally.failed == 0 {
            tally.failed = 1;
        }
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// Returns the names, with reasons, of the tests that a runner left out.
pub(crate) fn left_out(runner: Runner, output: &str) -> Vec<String> {
    let lines = output.lines().map(str::trim);
    match runner {
        Runner::Check => Vec::new(),
        Runner::Libtest => lines
            .filter_map(|line| line.strip_prefix("test ")?.split_once(" ... ignored"))
            .map(|(name, reason)| format!("{name}{}", reason.replacen(", ", ": ", 1)))
            .collect(),
        Runner::Pytest => lines
            .filter(|line| line.starts_with("SKIPPED [") || line.starts_with("XFAIL "))
            .map(str::to_owned)
            .collect(),
    }
}

/// Sums lines such as `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; ...`.
fn libtest(output: &str) -> Tally {
    let mut sum = Tally::default();
    for line in output.lines() {
        let Some((_, counts)) = line
            .trim()
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            continue;
        };
        for (number, word) in counts.split("; ").filter_map(count) {
            match word {
                "passed" => sum.passed += number,
                "failed" => sum.failed += number,
                "ignored" => sum.skipped += number,
                _ => {}
            }
        }
    }
    sum
}

/// Reads the last line such as `=== 1 failed, 9 passed, 2 skipped in 0.12s ===`.
fn pytest(output: &str) -> Tally {
    let mut sum = Tally::default();
    let Some((counts, _)) = output
        .lines()
        .rev()
        .map(|line| line.trim_matches(['=', ' ']))
        .filter_map(|line| line.rsplit_once(" in "))
        .find(|(counts, _)| counts.split(", ").all(|part| count(part).is_some()))
    else {
        return sum;
    };
    for (number, word) in counts.split(", ").filter_map(count) {
        match word {
            "passed" | "xpassed" => sum.passed += number,
            "failed" | "error" | "errors" => sum.failed += number,
            "skipped" | "xfailed" => sum.skipped += number,
            _ => {}
        }
    }
    sum
}

/// Reads `3 passed` as (3, "passed").
fn count(text: &str) -> Option<(u64, &str)> {
    let (number, word) = text.split_once(' ')?;
    Some((number.parse().ok()?, word))
}

#[cfg(test)]
mod tests {
    use super::{Runner, Tally, left_out};

    const LIBTEST: &str = "\
running 3 tests
test a ... ok
test slow ... ignored, takes minutes
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s
test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.2s
";

    const PYTEST: &str = "\
.F.s                                                                     [100%]
SKIPPED [2] covet-py/tests/test_pool.py:12: needs 3.14
=========== 1 failed, 9 passed, 2 skipped, 1 xfailed, 1 error in 61.20s (0:01:01) ===========
";

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally {
            passed,
            failed,
            skipped,
        }
    }

    #[test]
    fn counts_are_read_from_every_runner() {
        let cases = [
            (Runner::Libtest, LIBTEST, false, tally(7, 2, 1)),
            (Runner::Libtest, "", true, tally(0, 0, 0)),
            // A test program that crashed prints no result line.
            (Runner::Libtest, "running 3 tests\n", false, tally(0, 1, 0)),
            (Runner::Pytest, PYTEST, false, tally(9, 2, 3)),
            (
                Runner::Pytest,
                "12 passed in 0.10s\n",
                true,
                tally(12, 0, 0),
            ),
            (
                Runner::Pytest,
                "no tests ran in 0.00s\n",
                false,
                tally(0, 1, 0),
            ),
            (
                Runner::Pytest,
                "Fatal Python error\n",
                false,
                tally(0, 1, 0),
            ),
            (Runner::Check, "", true, tally(1, 0, 0)),
            (Runner::Check, "", false, tally(0, 1, 0)),
        ];
        for (runner, output, succeeded, expected) in cases {
            let found = Tally::of(runner, output, succeeded);
            assert_eq!(found, expected, "{runner:?}: {output}");
        }
    }

    #[test]
    fn tests_left_out_are_named_with_their_reason() {
        assert_eq!(left_out(Runner::Libtest, LIBTEST), ["slow: takes minutes"]);
        assert_eq!(
            left_out(Runner::Pytest, PYTEST),
            ["SKIPPED [2] covet-py/tests/test_pool.py:12: needs 3.14"]
        );
    }

    #[test]
    fn the_sum_prints_as_ci_reads_it() {
        let mut sum = tally(1, 0, 2);
        sum += tally(3, 1, 0);
        assert_eq!(sum.to_string(), "4 passed, 1 failed, 2 skipped");
    }
}
