//! Planted faults: a test of the same program, run again without one ordering or step.

use std::env;
use std::process::{Command, Output};

use covet_queue::weaken;

/// Runs `test` with `name` taken away, in a process of its own: a test that fails may take the process with it.
pub(crate) fn run(test: &str, name: &str) -> Output {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(weaken::VARIABLE, name)
        .output()
        .unwrap()
}
