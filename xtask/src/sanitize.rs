//! covet-interp under sanitizers, which need a nightly toolchain: what its program `rounds` leaks, and races in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::process::{self, Finished};
use crate::pythons::Python;
use crate::session::{self, Session};
use crate::workspace;

/// The target that sanitizers are asked to watch.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

pub(crate) const LEAKS: &str = "leaks (LeakSanitizer)";
pub(crate) const RACES: &str = "races (ThreadSanitizer)";

/// By how many blocks two runs that leak the same may differ: up to 5 were seen. One block in 450 tasks would be more.
const MORE_OR_LESS: u64 = 16;

/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(600);

/// Returns the cargo of the nightly toolchain, which only rustup knows.
pub(crate) fn nightly(folder: &str, words: &str) -> Command {
    let mut rustup = Command::new("rustup");
    rustup
        .args(["run", "nightly", "cargo"])
        .args(words.split(' '))
        .current_dir(workspace::root())
        .env("CARGO_TARGET_DIR", workspace::target().join(folder));
    rustup
}

/// Tells what the nightly toolchain lacks for a sanitizer (`tsan`, `lsan`), if anything.
pub(crate) fn missing(sanitizer: &str) -> Option<String> {
    let Some(toolchain) = toolchain() else {
        return Some("rustup has no nightly toolchain".to_owned());
    };
    let runtime = toolchain
        .join(TARGET)
        .join(format!("lib/librustc-nightly_rt.{sanitizer}.a"));
    (!runtime.exists()).then(|| format!("{} does not exist", runtime.display()))
}

/// The nightly toolchain's folder of targets.
fn toolchain() -> Option<PathBuf> {
    let output = Command::new("rustup")
        .args(["run", "nightly", "rustc", "--print", "sysroot"])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("lib/rustlib"))
}

/// Both checks of covet-interp with one Python.
pub(crate) fn check(python: &Python, session: &Session) -> Result<()> {
    for (name, reason, check) in [
        (
            LEAKS,
            missing("lsan"),
            count_leaks as fn(&Rounds) -> Result<String>,
        ),
        (RACES, missing("tsan").or_else(no_source), look_for_races),
    ] {
        let name = format!("{} {name}", python.label());
        let reason = if python.free_threaded {
            Some("a free-threaded Python has an allocator and locks that sanitizers cannot look into".to_owned())
        } else {
            reason
        };
        if let Some(reason) = reason {
            session.skip(format!("{name}: {reason}"));
            continue;
        }
        let started = Instant::now();
        let rounds = Rounds {
            python,
            name: name.clone(),
        };
        match check(&rounds) {
            Ok(found) => session.pass(&format!("{name}: {found}"), started),
            Err(error) => session.fail(format!("{name}: {error}")),
        }
    }
    Ok(())
}

/// ThreadSanitizer has to see into the standard library too, whose locks order what happens in ours.
fn no_source() -> Option<String> {
    let source = toolchain()?.join("src/rust/library/std");
    (!source.exists()).then(|| {
        "the nightly toolchain has no rust-src; `rustup component add rust-src --toolchain nightly` adds it"
            .to_owned()
    })
}

/// The program `covet-interp/tests/rounds.rs`.
struct Rounds<'a> {
    python: &'a Python,
    name: String,
}

impl Rounds<'_> {
    /// Builds it and runs it to its end, however that is.
    fn run(
        &self,
        build: &str,
        flags: &str,
        words: &str,
        options: [(&str, &str); 2],
    ) -> Result<Finished> {
        let cargo = format!(
            "test {build} --release --package covet-interp --test rounds --locked --target {TARGET} -- {words}"
        );
        let folder = if build.is_empty() { "lsan" } else { "tsan-std" };
        let mut cargo = nightly(folder, &cargo.replace("  ", " "));
        cargo
            .env("PYO3_PYTHON", &self.python.executable)
            .env("RUSTFLAGS", flags)
            .envs(options);
        process::run(
            &mut cargo,
            &session::log_file(&format!("{}{words}", self.name)),
            LIMIT,
        )
    }

    fn leaked(&self, words: &str) -> Result<Leaked> {
        // Each block of Python by itself; and a leak is no failure here.
        let options = [("PYTHONMALLOC", "malloc"), ("LSAN_OPTIONS", "exitcode=0")];
        let finished = self.run("", "-Zsanitizer=leak", words, options)?;
        if !finished.succeeded {
            return Err(failed(words, &finished));
        }
        Ok(Leaked::read(&finished.output))
    }
}

fn failed(words: &str, finished: &Finished) -> Error {
    Error::failed(format!(
        "`rounds {words}` {}\n{}",
        finished.ending,
        finished.output.trim_end()
    ))
}

/// What LeakSanitizer found at the end of a process: blocks, by the function that asked for them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Leaked(BTreeMap<String, u64>);

impl Leaked {
    fn read(output: &str) -> Self {
        let mut leaked = Self::default();
        let mut blocks = 0;
        for line in output.lines().map(str::trim) {
            if let Some((_, counts)) = line.split_once("leak of ") {
                blocks = counts
                    .split(' ')
                    .nth(3)
                    .and_then(|word| word.parse().ok())
                    .unwrap_or(0);
            } else if blocks > 0 && line.starts_with("#1 ") {
                // "#1 0x7f38 in FUNCTION FILE", or "#1 0x7f38 (LIBRARY+0x12)" where the name is unknown.
                let place = line.splitn(3, ' ').nth(2).unwrap_or(line);
                let place = place.strip_prefix("in ").unwrap_or(place);
                let place = place
                    .trim_start_matches('(')
                    .split([' ', '+'])
                    .next()
                    .unwrap_or(place);
                *leaked.0.entry(place.to_owned()).or_default() += blocks;
                blocks = 0;
            }
        }
        leaked
    }

    fn blocks(&self) -> u64 {
        self.0.values().sum()
    }

    /// The functions that asked for more than they did before.
    fn grown_since(&self, before: &Self) -> Vec<&str> {
        let grown = self
            .0
            .iter()
            .filter(|(place, blocks)| before.0.get(*place).is_none_or(|old| old < blocks));
        grown.map(|(place, _)| place.as_str()).collect()
    }
}

/// Tasks leak nothing; interpreters leak nothing but what those do that CPython makes without Covet.
fn count_leaks(rounds: &Rounds<'_>) -> Result<String> {
    let planted = rounds.leaked("--leak")?.blocks();
    if planted != 10 {
        return Err(Error::failed(format!(
            "expected to see the 10 blocks that `rounds --leak` leaks; saw {planted}"
        )));
    }
    let (few, many) = (
        rounds.leaked("--rounds 800 1")?,
        rounds.leaked("--rounds 8000 1")?,
    );
    // A few strings more or less are interned from run to run.
    if many.blocks().abs_diff(few.blocks()) > MORE_OR_LESS {
        return Err(Error::failed(format!(
            "expected as many blocks leaked with 8000 tasks as with 800, {few:?}, but for {MORE_OR_LESS}; found {many:?}"
        )));
    }
    let (few, many) = (
        rounds.leaked("--rounds 80 4")?,
        rounds.leaked("--rounds 80 8")?,
    );
    let (few_bare, many_bare) = (rounds.leaked("--bare 4")?, rounds.leaked("--bare 8")?);
    let grown = many.grown_since(&few);
    let allowed = many_bare.grown_since(&few_bare);
    if !grown.iter().all(|place| allowed.contains(place)) {
        return Err(Error::failed(format!(
            "expected pools to leak only what interpreters without Covet leak, asked for by {allowed:?}; found {grown:?}: \
             {few:?} in 4 lives, {many:?} in 8"
        )));
    }
    Ok(format!(
        "no block for 7200 tasks; {} in 4 lives of 2 interpreters, and {} without Covet, asked for by {grown:?} and {allowed:?}",
        many.blocks().saturating_sub(few.blocks()),
        many_bare.blocks().saturating_sub(few_bare.blocks()),
    ))
}

/// No report in many tasks, nor in pools that come and go; one for a planted race.
fn look_for_races(rounds: &Rounds<'_>) -> Result<String> {
    let suppressions = workspace::root().join("covet-interp/tests/rounds.supp");
    let options = format!("suppressions={}", suppressions.display());
    let watched = |words: &str| {
        let options = [("TSAN_OPTIONS", options.as_str()), ("RUST_BACKTRACE", "0")];
        rounds.run("-Zbuild-std", "-Zsanitizer=thread", words, options)
    };
    let planted = watched("--race")?;
    if planted.succeeded
        || !planted
            .output
            .contains("WARNING: ThreadSanitizer: data race")
    {
        return Err(Error::failed(format!(
            "expected a report of the race in `rounds --race`; found none:\n{}",
            planted.output
        )));
    }
    for words in ["--rounds 10000 1", "--rounds 100 10"] {
        let finished = watched(words)?;
        if !finished.succeeded {
            return Err(failed(words, &finished));
        }
    }
    Ok("0 reports in 11000 tasks and 11 pools".to_owned())
}

#[cfg(test)]
mod tests {
    use super::Leaked;

    #[test]
    fn blocks_are_summed_and_told_by_who_asked_for_them() {
        let output = "\
==7==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 305 byte(s) in 56 object(s) allocated from:
    #0 0x564d5e00ad3f in malloc lsan_interceptors.cpp:74:3
    #1 0x7f8386ba6650 in PyUnicode_New Objects/unicodeobject.c:1329:24
    #2 0x7f8386ba6650 in intern Objects/unicodeobject.c:1275:1

Indirect leak of 10 byte(s) in 1 object(s) allocated from:
    #0 0x564d5e00b393 in realloc lsan_interceptors.cpp:128:3
    #1 0x7f8386b9e486 (/lib/libpython3.13.so.1.0+0x9e486)

SUMMARY: LeakSanitizer: 315 byte(s) leaked in 57 allocation(s).";
        let leaked = Leaked::read(output);
        let places = [("/lib/libpython3.13.so.1.0", 1), ("PyUnicode_New", 56)];
        assert_eq!(
            leaked,
            Leaked(
                places
                    .map(|(place, blocks)| (place.to_owned(), blocks))
                    .into()
            )
        );
        assert_eq!(leaked.blocks(), 57);
        let none = Leaked::read("80 tasks in each of 8 pools");
        assert_eq!(none, Leaked::default());
        assert!(leaked.grown_since(&leaked).is_empty());
        assert_eq!(leaked.grown_since(&none).len(), 2);
    }
}
