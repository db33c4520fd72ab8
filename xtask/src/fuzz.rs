//! covet-native under AddressSanitizer: its tests, and inputs that libFuzzer makes up. Both need a nightly toolchain.

use std::process::Command;
use std::{env, fs};

use crate::error::{Context, Result};
use crate::sanitize::{self, nightly};
use crate::session::{Lane, Session};
use crate::tally::Runner;
use crate::workspace;

pub(crate) const STEPS: [&str; 2] = [MEMORY, FUZZ];
const MEMORY: &str = "memory of covet-native (AddressSanitizer)";
const FUZZ: &str = "fuzzing covet-native (libFuzzer)";

/// The programs of `covet-native/fuzz`.
const TARGETS: [&str; 6] = ["head", "chunked", "response", "form", "cookie", "multipart"];

/// How long each program runs, in seconds.
const SECONDS: u32 = 60;

/// Where it begins, unless `COVET_FUZZ_SEED` says otherwise: a check should say the same of the same code. 0 is another place each
/// time, for who wants to find more.
const SEED: &str = "1";

/// What the compiler does for libFuzzer, besides AddressSanitizer: count each edge, and note each comparison.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
const ADDRESS: &str = "-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer";

/// Both checks.
pub(crate) fn check(session: &Session) -> Result<()> {
    if let Some(missing) = sanitize::missing("asan") {
        for step in STEPS {
            session.skip(format!("{step}: {missing}"));
        }
        return Ok(());
    }
    let words = format!(
        "test --package covet-native --lib --tests --locked --target {}",
        sanitize::TARGET
    );
    let mut cargo = nightly("asan", &words);
    cargo.env("RUSTFLAGS", ADDRESS);
    session.step(MEMORY, Runner::Libtest, cargo)?;

    let folder = workspace::root().join("covet-native/fuzz");
    let words = format!("build --release --target {}", sanitize::TARGET);
    let mut fetch = nightly("fuzz", "fetch");
    fetch.current_dir(&folder);
    if !fetch.output().is_ok_and(|output| output.status.success()) {
        session.skip(format!("{FUZZ}: libfuzzer-sys cannot be had"));
        return Ok(());
    }
    let mut build = nightly("fuzz", &words);
    build
        .current_dir(&folder)
        .env("RUSTFLAGS", format!("{COVERAGE} {ADDRESS}"));
    if !session.step(&format!("{FUZZ}: build"), Runner::Check, build)? {
        return Ok(());
    }
    let programs = TARGETS.map(|target| -> Lane<'_> { Box::new(|| fuzz(target, session)) });
    session.side_by_side(programs.into())
}

/// Runs one of the programs.
fn fuzz(target: &str, session: &Session) -> Result<()> {
    let folder = workspace::target().join("fuzz");
    // What it finds worth keeping beyond what was found before, and what makes it fail.
    let kept = workspace::root()
        .join("covet-native/fuzz/corpus")
        .join(target);
    let corpus = folder.join("corpus").join(target);
    fs::create_dir_all(&corpus).context(|| format!("making {corpus:?}"))?;
    let failed = folder.join("corpus").join(format!("failed-{target}-"));
    let mut fuzz = Command::new(folder.join(sanitize::TARGET).join("release").join(target));
    fuzz.args([&corpus, &kept])
        .arg(format!("-max_total_time={SECONDS}"))
        .arg("-max_len=2048")
        .arg(format!(
            "-seed={}",
            env::var("COVET_FUZZ_SEED").unwrap_or_else(|_| SEED.to_owned())
        ))
        .arg(format!("-artifact_prefix={}", failed.display()));
    session.step(&format!("{FUZZ}: {target}"), Runner::Check, fuzz)?;
    Ok(())
}
