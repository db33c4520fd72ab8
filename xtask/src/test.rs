//! `cargo xtask test`: every check and every test, with one sum at the end.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::args::Args;
use crate::crates;
use crate::ecosystem;
use crate::error::{Error, Result};
use crate::extension;
use crate::pythons::{self, Found, Python};
use crate::sanitize;
use crate::session::{Lane, Session};
use crate::tally::Runner;
use crate::workspace;

const USAGE: &str = "\
Usage: cargo xtask test [--python PATH]... [--only rust|python|sanitizers] [--quick]

  --python PATH   test on this Python only (or a version: 3.13), repeatable; else on the newest
                  fix of each release line found
  --only rust     the checks and tests that need no particular Python: format, lints, docs,
                  crates without Python, models, the benches
  --only python   the tests of covet-interp, covet-py and covet_py on each Python
  --only sanitizers
                  of these only LeakSanitizer and ThreadSanitizer over covet-interp
  --quick         leave out the slow steps (named in the end): models, sanitizers, the soak

Steps that need nothing of each other run side by side, as many as there are cores.

With a nightly toolchain the newest Python's steps hold LeakSanitizer (tasks leak no block, interpreters
none but CPython's own) and, with its component rust-src, ThreadSanitizer (no race in 11000 tasks), both
over covet-interp/tests/rounds.rs. What is tested in small runs in full by hand:
  cargo xtask python -- covet-py/tests/soak.py 180            pools that come and go, or one that stays
  cargo xtask python -- covet-py/tests/storm.py               10000 signals; --latency: how soon Ctrl-C ends a wait
  cargo xtask python -- covet-py/tests/attribution.py         100000 tasks that fail in many ways
  cargo xtask python -- covet-py/tests/exit_matrix.py 50      ends of processes
  cargo xtask python -- covet-py/tests/exchange.py 1000000    random values
  cargo test -p covet-interp --test ends -- --count 50        ends of Rust programs
  cargo test -p covet-interp --test no_memory -- --count 500  pools of whose allocations one fails
  cargo xtask ecosystem --tests                               packages from PyPI, in two interpreters
  cargo xtask ecosystem --soak 600                            five of them side by side, with errors in between
  COVET_LIVES=200 cargo test -p covet-interp --test soak      borrowers and recycled interpreters

The last line is `N passed, N failed, N skipped`; the exit code is 1 if anything failed.
";

/// What the Python tests need from PyPI. The last is for the types, which are the same on every Python: where there may be no
/// wheel of it, that test is skipped.
const TEST_PACKAGES: [&str; 2] = ["pytest>=8.4,<10", "mypy>=1.18,<3"];
const WITH_MYPY: [&str; 3] = ["3.11", "3.12", "3.13"];

#[derive(Default)]
struct Options {
    named: Vec<String>,
    only: Option<String>,
    quick: bool,
}

/// `cargo xtask test`
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let Some(options) = parse(args)? else {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let started = Instant::now();
    let found = pythons::find(&options.named)?;
    let session = Session::default();
    let only = options.only.as_deref();
    let mut lanes = Vec::new();
    if matches!(only, None | Some("rust")) {
        let python = &found.pythons[0];
        println!("Python {} where the crates need one", python.label());
        lanes = crates::lanes(python, options.quick, &session);
    }
    if only != Some("rust") {
        let pythons = choose(&found, &session)?;
        pythons.iter().for_each(|python| println!("{python}"));
        lanes.extend(python_lanes(pythons, &options, &session));
    }
    session.side_by_side(lanes)?;
    session.finish(started)
}

fn python_lanes<'a>(
    pythons: Vec<&'a Python>,
    options: &Options,
    session: &'a Session,
) -> Vec<Lane<'a>> {
    let quick = options.quick;
    if options.only.as_deref() == Some("sanitizers") {
        // They share a folder.
        let each = move |python: &&Python| sanitize::check(python, session);
        return vec![Box::new(move || pythons.iter().try_for_each(each))];
    }
    let mut lanes: Vec<Lane<'a>> = Vec::new();
    // They take minutes on each, and look at our code: one tells for all, unless asked.
    let sanitized = match quick {
        false => pythons.iter().position(|python| !python.free_threaded),
        true => None,
    };
    for (i, &python) in pythons.iter().enumerate() {
        if sanitized == Some(i) {
            lanes.push(Box::new(|| sanitize::check(python, session)));
        } else {
            let reason = match quick {
                true => "left out by --quick",
                false => "run on one Python; --only sanitizers on each",
            };
            for step in [sanitize::LEAKS, sanitize::RACES] {
                session.skip(format!("{} {step}: {reason}", python.label()));
            }
        }
        lanes.push(Box::new(move || check_python(python, quick, session)));
    }
    lanes
}

fn parse(mut args: Args) -> Result<Option<Options>> {
    let mut options = Options::default();
    while let Some(word) = args.next_word() {
        match word.as_str() {
            "--python" => options.named.push(args.value("--python", USAGE)?),
            "--quick" => options.quick = true,
            "--only" => {
                let only = args.value("--only", USAGE)?;
                if !["rust", "python", "sanitizers"].contains(&only.as_str()) {
                    let what = format!("--only expects rust, python or sanitizers; found `{only}`");
                    return Err(Error::usage(USAGE, what));
                }
                options.only = Some(only);
            }
            "--help" | "-h" => return Ok(None),
            _ => return Err(Error::usage(USAGE, format!("unknown option `{word}`"))),
        }
    }
    Ok(Some(options))
}

/// Returns the Pythons to test on: those named, or else the best of each release line.
fn choose<'a>(found: &'a Found, session: &Session) -> Result<Vec<&'a Python>> {
    let mut chosen: Vec<&Python> = Vec::new();
    let mut left_out = Vec::new();
    for python in &found.pythons {
        let same_line = chosen.iter().find(|other| other.line() == python.line());
        match (python.library_folder(), same_line) {
            (Err(reason), _) if !found.searched => return Err(Error::failed(reason)),
            (Err(reason), _) => left_out.push(reason),
            (Ok(_), Some(tested)) if found.searched => left_out.push(format!(
                "Python {} ({}): {} stands for this release line; --python tests it",
                python.label(),
                python.executable.display(),
                tested.label()
            )),
            _ => chosen.push(python),
        }
    }
    if chosen.is_empty() {
        return Err(Error::failed(format!(
            "expected a Python that tests can link; found none:\n  {}",
            left_out.join("\n  ")
        )));
    }
    for reason in left_out {
        session.skip(reason);
    }
    Ok(chosen)
}

/// The tests of everything that names Python, on one of them.
fn check_python(python: &Python, quick: bool, session: &Session) -> Result<()> {
    let target = extension::folder(python).join("tests");
    let library_folder = python.library_folder().map_err(Error::failed)?;
    let cargo = |words: &str| {
        let mut cargo = workspace::cargo(&target);
        cargo
            .args(["test", "--package", "covet-interp", "--package", "covet-py"])
            .args(["--locked", "--no-fail-fast"])
            .args(words.split(' '))
            .env("PYO3_PYTHON", &python.executable);
        cargo
    };
    let name = |what: &str| format!("{} {what}", python.label());
    let all_targets = "--lib --bins --tests --examples";
    let built = session.step(
        &name("build of covet-interp, covet-py"),
        Runner::Check,
        cargo(&format!("{all_targets} --no-run")),
    )?;
    if !built {
        session.skip(name("all tests: what they test does not build"));
        return Ok(());
    }
    session.step(
        &name("tests of covet-interp, covet-py"),
        Runner::Libtest,
        cargo(all_targets),
    )?;
    let mut doc = cargo("--doc");
    // The crates' build scripts give test programs the path to libpython, but rustdoc takes none.
    doc.env("LD_LIBRARY_PATH", library_folder)
        .env("DYLD_LIBRARY_PATH", library_folder);
    session.step(&name("examples in the documentation"), Runner::Libtest, doc)?;

    let tests = workspace::root().join("covet-py/tests");
    if !has_python_tests(&tests) {
        session.skip(name(
            "tests of covet_py: no covet-py/tests/test_*.py exists",
        ));
        return Ok(());
    }
    let built = name("covet_py built and installed");
    let packages = if WITH_MYPY.contains(&python.line().as_str()) {
        &TEST_PACKAGES[..]
    } else {
        &TEST_PACKAGES[..1]
    };
    let started = Instant::now();
    let environment = match extension::prepare(python, packages) {
        Ok(environment) => environment,
        Err(error) => {
            session.fail(format!("{built}: {error}"));
            return Ok(());
        }
    };
    session.pass(&built, started);
    // Packages that refuse, one of them with arrays that show memory: tests that need one skip where it cannot be had.
    for package in ["numpy>=2.2,<3", "pydantic>=2.11,<3"] {
        if let Err(error) = environment.install(&[package]) {
            let python = python.label();
            eprintln!("{package} cannot be installed for {python}: {error}");
        }
    }
    let mut pytest = Command::new(&environment.python);
    pytest
        .current_dir(workspace::root())
        .args(
            "-m pytest -q -rsx --tb=short -p no:cacheprovider -o faulthandler_timeout=300"
                .split(' '),
        )
        .arg(&tests);
    session.step(&name("tests of covet_py"), Runner::Pytest, pytest)?;

    if python.has_own_gils() {
        ecosystem::check(python, session);
    }

    let soak = name("soak of covet_py");
    if quick {
        session.skip(format!("{soak}: left out by --quick"));
        return Ok(());
    }
    let mut command = Command::new(environment.python);
    command.arg(tests.join("soak.py")).arg(SOAK_SECONDS);
    session.step(&soak, Runner::Check, command)?;
    Ok(())
}

/// How long pools come and go on each Python.
const SOAK_SECONDS: &str = "30";

fn has_python_tests(folder: &Path) -> bool {
    folder.read_dir().is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("test_") && name.ends_with(".py")
        })
    })
}
