//! The project's commands, run as `cargo xtask COMMAND`.
//!
//! They need nothing but Rust and a Python: each finds the Pythons of this machine, builds Covet
//! for them and keeps what it makes under `target/`.

mod args;
mod bench;
mod chart;
mod crates;
mod demo;
mod ecosystem;
mod error;
mod extension;
mod fuzz;
mod process;
mod pythons;
mod report;
mod sanitize;
mod session;
mod tally;
mod test;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use args::Args;
use error::{Error, Result};

const USAGE: &str = "\
Usage: cargo xtask COMMAND [OPTIONS]

  demo     Run a real job on every core of this machine, by Covet and by what Python has today
  test     Run every check and every test, on each Python found
  bench    Measure Covet beside its peers
  ecosystem
           Use packages from PyPI in two interpreters at once
  python   Run a Python that can import covet_py

`cargo xtask COMMAND --help` says more. COVET_PYTHON names the Python to use, as --python does.
";

type Command = fn(Args) -> Result<ExitCode>;

const COMMANDS: [(&str, Command); 5] = [
    ("demo", demo::run),
    ("test", test::run),
    ("bench", bench::run),
    ("ecosystem", ecosystem::run),
    ("python", extension::run_python),
];

fn main() -> ExitCode {
    match dispatch(std::env::args_os().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}");
            error.exit_code()
        }
    }
}

fn dispatch(words: Vec<OsString>) -> Result<ExitCode> {
    let mut args = Args::new(words);
    let Some(name) = args.next_word() else {
        return Err(Error::usage(USAGE, "a command was expected"));
    };
    if ["--help", "-h", "help"].contains(&name.as_str()) {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    let Some((_, command)) = COMMANDS.iter().find(|(known, _)| *known == name) else {
        let names = COMMANDS.map(|(name, _)| name).join(", ");
        let what = format!("expected one of {names}; found `{name}`");
        return Err(Error::usage(USAGE, what));
    };
    command(args)
}
