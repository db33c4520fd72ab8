//! The steps of a test run: one line each while they pass, everything they said when they fail.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::process;
use crate::tally::{self, Runner, Tally};
use crate::workspace;

/// A step that runs longer hangs: it is stopped and has failed.
const STEP_LIMIT: Duration = Duration::from_secs(900);

/// The steps so far: their sum, and what has to be repeated in the end.
#[derive(Default)]
pub(crate) struct Session {
    sum: Tally,
    failed: Vec<String>,
    skipped: Vec<String>,
}

impl Session {
    /// Runs one step; prints a line, and all it said if it failed. Returns whether it succeeded.
    pub(crate) fn step(
        &mut self,
        name: &str,
        runner: Runner,
        mut command: Command,
    ) -> Result<bool> {
        if std::io::stderr().is_terminal() {
            eprint!("  ....           {name}\r");
        }
        let finished = process::run(&mut command, &log_file(name), STEP_LIMIT)?;
        let tally = Tally::of(runner, &finished.output, finished.succeeded);
        let counts = match runner {
            Runner::Check => String::new(),
            _ => format!(": {tally}"),
        };
        let mark = if finished.succeeded { "ok  " } else { "FAIL" };
        println!("  {mark} {:6.1} s  {name}{counts}", finished.seconds);
        if !finished.succeeded {
            println!(
                "{}\n  {name} {}",
                finished.output.trim_end(),
                finished.ending
            );
            self.failed.push(format!("{name} ({})", finished.ending));
        }
        let left_out = tally::left_out(runner, &finished.output);
        self.skipped
            .extend(left_out.iter().map(|test| format!("{name}: {test}")));
        self.sum += tally;
        Ok(finished.succeeded)
    }

    /// Records a step that was done without a command of its own.
    pub(crate) fn pass(&mut self, name: &str, started: Instant) {
        println!("  ok   {:6.1} s  {name}", started.elapsed().as_secs_f64());
        self.sum += Tally::PASSED;
    }

    /// Records a step that could not even start.
    pub(crate) fn fail(&mut self, what: String) {
        println!("  FAIL           {what}");
        self.failed.push(what);
        self.sum += Tally::FAILED;
    }

    pub(crate) fn skip(&mut self, what: String) {
        self.skipped.push(what);
        self.sum += Tally::SKIPPED;
    }

    pub(crate) fn finish(self, started: Instant) -> Result<ExitCode> {
        println!("\n{:.0} s in total", started.elapsed().as_secs_f64());
        for (title, lines) in [("skipped", &self.skipped), ("FAILED", &self.failed)] {
            for line in lines {
                println!("{title}  {line}");
            }
        }
        println!("{}", self.sum);
        Ok(if self.sum.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// Returns where the output of a step is kept.
pub(crate) fn log_file(name: &str) -> PathBuf {
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    workspace::target().join("logs").join(name + ".log")
}
