//! The checks and tests that run once, whatever the number of Pythons: format, lints, documentation, the crates without Python,
//! and what is asked of these by checkers that need a build of their own.

use std::process::Command;

use crate::error::Result;
use crate::fuzz;
use crate::pythons::Python;
use crate::sanitize::{self, nightly};
use crate::session::{Lane, Session};
use crate::tally::Runner;
use crate::workspace;

/// What `--quick` leaves out.
const SLOW: [&str; 11] = [
    DOCUMENTATION,
    DOCUMENTATION_OF_FEATURES,
    BENCHES,
    SCALAR,
    AVX2,
    REAL_TIME,
    MODELS,
    RANDOM,
    RACES,
    UNDEFINED,
    MEMORY,
];
const DOCUMENTATION: &str = "documentation";
const DOCUMENTATION_OF_FEATURES: &str = "documentation of covet-simd with all features";
const BENCHES: &str = "lints of the benches with their peers";
const SCALAR: &str = "kernels without vectors (COVET_SIMD=scalar)";
const AVX2: &str = "kernels with AVX2 (COVET_SIMD=avx2)";
const REAL_TIME: &str = "round trips in the real-time class";
const MODELS: &str = "models (loom)";
const RANDOM: &str = "random schedules (shuttle)";
const RACES: &str = "races (ThreadSanitizer)";
const UNDEFINED: &str = "undefined behaviour (miri)";
const MEMORY: &str = "memory of kernels (AddressSanitizer)";

/// All of it, in lanes that share no folder; `python` is for those checks that build what names one.
pub(crate) fn lanes<'a>(python: &'a Python, quick: bool, session: &'a Session) -> Vec<Lane<'a>> {
    if quick {
        for name in SLOW.iter().chain(&fuzz::STEPS) {
            session.skip(format!("{name}: left out by --quick"));
        }
        return vec![Box::new(move || check(python, session))];
    }
    vec![
        Box::new(|| check_memory(session)),
        Box::new(move || {
            check(python, session)?;
            check_more(python, session)
        }),
        Box::new(|| model_queue(session)),
        Box::new(|| check_queue(session)),
    ]
}

/// Runs cargo for the checks, which share a folder.
fn cargo(python: &Python, words: &str) -> Command {
    let mut cargo = workspace::cargo(&workspace::target().join("checks"));
    cargo
        .args(words.split(' '))
        .env("PYO3_PYTHON", &python.executable);
    cargo
}

/// Format, lints and tests.
fn check(python: &Python, session: &Session) -> Result<()> {
    let cargo = |words: &str| cargo(python, words);
    for (component, command) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let there = cargo(command)
            .arg("--version")
            .output()
            .is_ok_and(|out| out.status.success());
        if !there {
            session.fail(format!(
                "{component}: expected `cargo {command}`; it is not installed. Add it with `rustup component add \
                 {component}`"
            ));
        } else if command == "fmt" {
            session.step("format", Runner::Check, cargo("fmt --all --check"))?;
        } else {
            session.step(
                "lints (clippy)",
                Runner::Check,
                cargo("clippy --workspace --all-targets --locked -- -D warnings"),
            )?;
            session.step(
                "lints of covet-simd and covet-py with the feature cuda",
                Runner::Check,
                cargo(
                    "clippy --package covet-simd --package covet-py --features cuda \
                     --all-targets --locked -- -D warnings",
                ),
            )?;
            // In the workspace the benches turn `async` on, and all others `std`.
            for features in [
                "--all-targets",
                "--all-targets --features async",
                "--no-default-features",
            ] {
                session.step(
                    &format!("lints of covet-queue {features}"),
                    Runner::Check,
                    cargo(&format!(
                        "clippy --package covet-queue {features} --locked -- -D warnings"
                    )),
                )?;
            }
        }
    }
    session.step(
        "tests of the crates without Python",
        Runner::Libtest,
        cargo(
            "test --workspace --exclude covet-interp --exclude covet-py --exclude covet-benches \
             --exclude covet-simd --locked --no-fail-fast",
        ),
    )?;
    // By itself, as with lesser sets: beside other crates its dependencies have other features, and all would be built twice.
    session.step(
        "kernels",
        Runner::Libtest,
        cargo("test --package covet-simd --locked --no-fail-fast"),
    )?;
    session.step(
        "tests of covet-queue with the feature async",
        Runner::Libtest,
        cargo("test --package covet-queue --features async --locked --no-fail-fast"),
    )?;
    session.step(
        "tests of covet-queue without std",
        Runner::Libtest,
        cargo("test --package covet-queue --no-default-features --locked --no-fail-fast"),
    )?;
    // What needs a device is left out, and counted, where there is none.
    let with_device = match succeeds(Command::new("nvidia-smi").arg("--list-gpus")) {
        true => " -- --include-ignored",
        false => "",
    };
    session.step(
        "tests of covet-simd on CUDA devices",
        Runner::Libtest,
        cargo(&format!(
            "test --package covet-simd --features cuda --locked --no-fail-fast --lib --test gpu{with_device}"
        )),
    )?;
    Ok(())
}

/// What takes longer: documentation, benches, kernels with lesser sets of instructions.
fn check_more(python: &Python, session: &Session) -> Result<()> {
    let cargo = |words: &str| cargo(python, words);
    let mut doc = cargo("doc --workspace --no-deps --locked");
    doc.env("RUSTDOCFLAGS", "-D warnings");
    session.step(DOCUMENTATION, Runner::Check, doc)?;
    let mut doc = cargo("doc --package covet-simd --all-features --no-deps --locked");
    doc.env("RUSTDOCFLAGS", "-D warnings");
    session.step(DOCUMENTATION_OF_FEATURES, Runner::Check, doc)?;
    session.step(
        BENCHES,
        Runner::Check,
        cargo(
            "clippy --package covet-benches --features native,simd-crates --all-targets --locked -- \
             -D warnings",
        ),
    )?;
    for (name, set) in [(SCALAR, "scalar"), (AVX2, "avx2")] {
        let mut cargo = cargo("test --package covet-simd --locked --no-fail-fast");
        cargo.env("COVET_SIMD", set);
        session.step(name, Runner::Libtest, cargo)?;
    }
    if succeeds(Command::new("chrt").args(["-f", "1", "true"])) {
        let words =
            "test --package covet-queue --test round_trips --locked -- --ignored --test-threads=1";
        session.step(REAL_TIME, Runner::Libtest, cargo(words))?;
    } else {
        session.skip(format!("{REAL_TIME}: `chrt -f 1 true` fails"));
    }
    Ok(())
}

/// The models of the rings. One at a time: each maps stacks without end, and two that do get into each other's way.
fn model_queue(session: &Session) -> Result<()> {
    let checker = checker("loom", "-- --test-threads=1");
    session.step(MODELS, Runner::Libtest, checker)?;
    Ok(())
}

/// Random schedules of the rings, races, and undefined behaviour.
fn check_queue(session: &Session) -> Result<()> {
    session.step(RANDOM, Runner::Libtest, checker("shuttle", ""))?;

    match sanitize::missing("tsan") {
        None => {
            let words = format!(
                "test --release --package covet-queue --test races --locked --target {} -- --test-threads=1",
                sanitize::TARGET
            );
            let mut cargo = nightly("tsan", &words);
            cargo
                .env(
                    "RUSTFLAGS",
                    "--cfg tsan -Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer",
                )
                .env("TSAN_OPTIONS", "suppressions=tests/races.supp");
            session.step(RACES, Runner::Libtest, cargo)?;
        }
        Some(missing) => session.skip(format!("{RACES}: {missing}")),
    }

    if succeeds(&mut nightly("miri", "miri --version")) {
        let words =
            "miri test --package covet-queue --locked --test drops --test batch --test stress";
        session.step(UNDEFINED, Runner::Libtest, nightly("miri", words))?;
    } else {
        session.skip(format!("{UNDEFINED}: the nightly toolchain has no miri"));
    }
    Ok(())
}

/// The test of the rings that is built for a checker, and named after it.
fn checker(name: &str, words: &str) -> Command {
    let mut cargo = workspace::cargo(&workspace::target().join(name));
    cargo
        .args("test --release --package covet-queue --features async".split(' '))
        .args(["--test", name, "--locked", "--no-fail-fast"])
        .args(words.split_whitespace())
        .env("RUSTFLAGS", format!("--cfg {name}"));
    cargo
}

/// Not one access beyond the operands of a kernel, nor beyond the bytes of a message, whatever they are.
fn check_memory(session: &Session) -> Result<()> {
    match sanitize::missing("asan") {
        None => {
            let words = format!(
                "test --package covet-simd --tests --locked --no-fail-fast --target {}",
                sanitize::TARGET
            );
            let mut cargo = nightly("asan", &words);
            cargo.env("RUSTFLAGS", "-Zsanitizer=address");
            session.step(MEMORY, Runner::Libtest, cargo)?;
        }
        Some(missing) => session.skip(format!("{MEMORY}: {missing}")),
    }
    fuzz::check(session)
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
