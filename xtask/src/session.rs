//! The steps of a test run: one line each while they pass, everything they said when they fail.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{iter, thread};

use crate::error::Result;
use crate::process;
use crate::tally::{self, Runner, Tally};
use crate::workspace;

/// A step that runs longer hangs: it is stopped and has failed.
const STEP_LIMIT: Duration = Duration::from_secs(1500);

/// The steps so far, of any thread.
#[derive(Default)]
pub(crate) struct Session(Mutex<Steps>);

/// Their sum, and what has to be repeated in the end.
#[derive(Default)]
struct Steps {
    sum: Tally,
    failed: Vec<String>,
    skipped: Vec<String>,
}

/// Steps that follow each other, and need none that others take.
pub(crate) type Lane<'a> = Box<dyn FnOnce() -> Result<()> + Send + 'a>;

impl Session {
    /// Takes lanes of steps side by side, as many at a time as there are cores.
    ///
    /// # Errors
    /// A lane's. Those that had not begun may not have been taken then.
    pub(crate) fn side_by_side(&self, lanes: Vec<Lane<'_>>) -> Result<()> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let waiting = Mutex::new(lanes.into_iter());
        let next = || {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.next()
        };
        thread::scope(|scope| {
            let take = || iter::from_fn(next).try_for_each(|lane| lane());
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(take)).collect();
            running.into_iter().try_for_each(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })
    }

    fn steps(&self) -> MutexGuard<'_, Steps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one step; prints a line, and all it said if it failed. Returns whether it succeeded.
    pub(crate) fn step(&self, name: &str, runner: Runner, mut command: Command) -> Result<bool> {
        if std::io::stderr().is_terminal() {
            eprint!("  ....           {name}\x1b[K\r");
        }
        let finished = process::run(&mut command, &log_file(name), STEP_LIMIT)?;
        let tally = Tally::of(runner, &finished.output, finished.succeeded);
        let counts = match runner {
            Runner::Check => String::new(),
            _ => format!(": {tally}"),
        };
        let mark = if finished.succeeded { "ok  " } else { "FAIL" };
        let mut steps = self.steps();
        println!("  {mark} {:6.1} s  {name}{counts}", finished.seconds);
        if !finished.succeeded {
            println!(
                "{}\n  {name} {}",
                finished.output.trim_end(),
                finished.ending
            );
            steps.failed.push(format!("{name} ({})", finished.ending));
        }
        let left_out = tally::left_out(runner, &finished.output);
        steps
            .skipped
            .extend(left_out.iter().map(|test| format!("{name}: {test}")));
        steps.sum += tally;
        Ok(finished.succeeded)
    }

    /// Records a step that was done without a command of its own.
    pub(crate) fn pass(&self, name: &str, started: Instant) {
        println!("  ok   {:6.1} s  {name}", started.elapsed().as_secs_f64());
        self.steps().sum += Tally::PASSED;
    }

    /// Records a step that could not even start.
    pub(crate) fn fail(&self, what: String) {
        println!("  FAIL           {what}");
        let mut steps = self.steps();
        steps.failed.push(what);
        steps.sum += Tally::FAILED;
    }

    pub(crate) fn skip(&self, what: String) {
        let mut steps = self.steps();
        steps.skipped.push(what);
        steps.sum += Tally::SKIPPED;
    }

    pub(crate) fn finish(self, started: Instant) -> Result<ExitCode> {
        println!("\n{:.0} s in total", started.elapsed().as_secs_f64());
        let steps = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (title, lines) in [("skipped", &steps.skipped), ("FAILED", &steps.failed)] {
            for line in lines {
                println!("{title}  {line}");
            }
        }
        println!("{}", steps.sum);
        Ok(if steps.sum.failed == 0 {
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
