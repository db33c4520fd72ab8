//! `cargo xtask ecosystem`: packages from PyPI, each used in two interpreters of one process at once.
//!
//! What each is asked to do stands in `xtask/ecosystem/recipes`. Each package has a process and a time limit of its own
//! (`measure.py`), so that one that crashes or hangs is a line of the table. What was found is kept for each release line of
//! Python in `docs/ecosystem/`, and `docs/ECOSYSTEM.md` is made from all of it.

mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::args::Args;
use crate::error::{Context, Error, Result};
use crate::extension::{self, Environment};
use crate::process;
use crate::pythons::{self, Python};
use crate::session::{Session, log_file};
use crate::tally::Runner;
use crate::workspace;

const USAGE: &str = "\
Usage: cargo xtask ecosystem [--python PATH] [--short] [--tests] [--extensions WAY] [PACKAGE...]
       cargo xtask ecosystem --soak SECONDS [--python PATH] [--extensions WAY]

  --python PATH     use this Python (or a version: 3.13), not the best one found
  --short           only whether a few small packages work; writes no table
  --tests           run a part of the packages' own tests too, in two interpreters at once and in main; and see how processes
                    with packages end, fork and are interrupted
  --soak SECONDS    only this: two interpreters and main use some packages side by side for so long, with errors in between
  --extensions WAY  private: try every module as a private image, whatever is known of it; else auto
  PACKAGE...        only these, and the rest of the table stays; else all in xtask/ecosystem/recipes

Installs packages from PyPI in an environment of their own, and uses each in two interpreters at once, 20 times over; the
answers must be those of the main interpreter, and the process must end well. On the Python whose figures the table shows it
also measures what a further interpreter with the package takes. Writes docs/ECOSYSTEM.md. A package without a wheel for this
Python is skipped; the exit code is 1 if one fails.
";

/// Those that `--short` and `cargo xtask test` try: by Cython, C, and Rust; small.
const SHORT: [&str; 5] = ["lxml", "msgspec", "numpy", "orjson", "pydantic"];

/// Those that are used for long: by C, C++, Cython and Rust, one with a library that leans on the GIL.
const SOAK: [&str; 5] = ["h5py", "numpy", "orjson", "pandas", "pydantic"];

const PYTEST: &str = "pytest>=8.4,<10";

/// What one package may take: several times what the largest needs on a slow machine.
const LIMIT: Duration = Duration::from_secs(180);
/// What the tests of one package may take, in both ways.
const TESTS_LIMIT: Duration = Duration::from_secs(1800);

#[derive(Default)]
struct Options {
    named: Vec<String>,
    short: bool,
    tests: bool,
    soak: Option<Duration>,
    extensions: Option<String>,
    packages: Vec<String>,
}

/// `cargo xtask ecosystem`
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let Some(options) = parse(args)? else {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let started = Instant::now();
    let found = pythons::find(&options.named)?;
    let python = &found.pythons[0];
    println!("{python}");
    let session = Session::default();
    let extensions = options.extensions.as_deref().unwrap_or("auto");
    let ecosystem = Ecosystem::new(python, environment(python)?, extensions)?;
    let known = ecosystem.packages();
    if let Some(unknown) = options.packages.iter().find(|name| !known.contains(name)) {
        let what = format!(
            "expected packages among {}; found `{unknown}`",
            known.join(", ")
        );
        return Err(Error::usage(USAGE, what));
    }
    if options.short {
        ecosystem.check_short(&session);
        return session.finish(started);
    }
    let mut record = table::Record::read(&python.line(), &python.release, &ecosystem.facts)?;
    if let Some(time) = options.soak {
        record.set_soak(ecosystem.soak(time, &session));
        record.write()?;
        println!("\n{}", table::write()?.display());
        return session.finish(started);
    }
    let chosen = if options.packages.is_empty() {
        &known
    } else {
        &options.packages
    };
    for package in chosen {
        let mut row = ecosystem.check(package, &session);
        if row["result"] == "works" {
            if python.line() == table::SHOWN {
                row["cost"] = ecosystem.cost(package, &session);
            }
            if options.tests && ecosystem.has_tests(package) {
                row["tests"] = ecosystem.run_tests(package, &session);
            }
        }
        record.set(package, row);
        record.write()?;
    }
    if options.tests {
        ecosystem.run_our_tests(&session)?;
    }
    println!("\n{}", table::write()?.display());
    session.finish(started)
}

fn parse(mut args: Args) -> Result<Option<Options>> {
    let mut options = Options::default();
    while let Some(word) = args.next_word() {
        match word.as_str() {
            "--python" => options.named = vec![args.value("--python", USAGE)?],
            "--short" => options.short = true,
            "--tests" => options.tests = true,
            "--soak" => {
                let seconds = args.value("--soak", USAGE)?;
                let what = format!("--soak expects a number of seconds; found `{seconds}`");
                let seconds = seconds.parse().map_err(|_| Error::usage(USAGE, what))?;
                options.soak = Some(Duration::from_secs(seconds));
            }
            "--extensions" => {
                let way = args.value("--extensions", USAGE)?;
                if !["auto", "private"].contains(&way.as_str()) {
                    let what = format!("--extensions expects auto or private; found `{way}`");
                    return Err(Error::usage(USAGE, what));
                }
                options.extensions = Some(way);
            }
            "--help" | "-h" => return Ok(None),
            option if option.starts_with('-') => {
                return Err(Error::usage(USAGE, format!("unknown option `{option}`")));
            }
            package => options.packages.push(package.to_owned()),
        }
    }
    Ok(Some(options))
}

/// A step of `cargo xtask test`: a few small packages on one Python.
pub(crate) fn check(python: &Python, session: &Session) {
    let what = format!("{} packages from PyPI in two interpreters", python.label());
    match environment(python) {
        Err(error) => session.skip(format!("{what}: {error}")),
        Ok(environment) => match Ecosystem::new(python, environment, "auto") {
            Ok(ecosystem) => ecosystem.check_short(session),
            Err(error) => session.fail(format!("{what}: {error}")),
        },
    }
}

/// The environment that the packages are installed in.
///
/// # Errors
/// Its interpreters have no GIL each; or as [`extension::prepare`] says.
pub(crate) fn environment(python: &Python) -> Result<Environment> {
    if !python.has_own_gils() {
        return Err(Error::failed(format!(
            "expected a Python whose interpreters can have a GIL each (3.12 and later, not free-threaded); found {python}"
        )));
    }
    extension::prepare_in("ecosystem", python, &[])
}

/// Where the scripts are.
pub(crate) fn scripts() -> PathBuf {
    workspace::root().join("xtask/ecosystem")
}

/// Gives a process copies of modules that lie under `target`, and packages that use one core for each interpreter: their own threads
/// would use the second as well.
pub(crate) fn set_variables(command: &mut Command) {
    let images = workspace::target().join("ecosystem/images");
    command.env("COVET_IMAGE_CACHE", images);
    for library in [
        "OPENBLAS_NUM",
        "OMP_NUM",
        "POLARS_MAX",
        "NUMEXPR_NUM",
        "RAYON_NUM",
    ] {
        command.env(format!("{library}_THREADS"), "1");
    }
}

/// A Python with the packages.
struct Ecosystem {
    label: String,
    environment: Environment,
    extensions: String,
    /// Where what the scripts find is written.
    folder: PathBuf,
    /// What measure.py says of the machine, the packages and what is installed for each.
    facts: Value,
}

impl Ecosystem {
    fn new(python: &Python, environment: Environment, extensions: &str) -> Result<Self> {
        let mut ecosystem = Self {
            label: python.label(),
            environment,
            extensions: extensions.to_owned(),
            folder: workspace::target().join("ecosystem").join(python.label()),
            facts: Value::Null,
        };
        let folder = &ecosystem.folder;
        fs::create_dir_all(folder).context(|| format!("making {}", folder.display()))?;
        ecosystem.facts = ecosystem
            .run_script("measure.py", "facts", &[], LIMIT)
            .map_err(|(why, _)| Error::failed(why))?;
        Ok(ecosystem)
    }

    fn packages(&self) -> Vec<String> {
        let packages = self.facts["packages"].as_object().into_iter().flatten();
        packages.map(|(name, _)| name.clone()).collect()
    }

    /// Installs what a package needs for its recipe.
    fn install(&self, package: &str) -> Result<()> {
        let needs = strings(&self.facts["packages"][package]);
        let needs: Vec<_> = needs.iter().map(String::as_str).collect();
        self.environment.install(&needs)
    }

    fn check_short(&self, session: &Session) {
        for package in SHORT {
            self.check(package, session);
        }
    }

    /// Tries a package; returns what is to be told of it.
    fn check(&self, package: &str, session: &Session) -> Value {
        let name = format!("{} {package} in two interpreters", self.label);
        if let Err(error) = self.install(package) {
            let why = last_line(&error.to_string());
            session.skip(format!("{name}: not installed: {why}"));
            return json!({"result": "not installed", "why": why});
        }
        let started = Instant::now();
        let words = [package, "--extensions", &self.extensions];
        match self.run_script("measure.py", "check", &words, LIMIT) {
            Ok(mut found) => {
                session.pass(&name, started);
                found["result"] = "works".into();
                found
            }
            Err((why, found)) => {
                session.fail(format!("{name}: {why}"));
                let version = found["version"].clone();
                json!({"result": "fails", "why": why, "version": version})
            }
        }
    }

    /// What a package takes in a further interpreter.
    fn cost(&self, package: &str, session: &Session) -> Value {
        let words = [package, "--extensions", &self.extensions];
        match self.run_script("measure.py", "cost", &words, LIMIT) {
            Ok(cost) => cost,
            Err((why, _)) => {
                session.fail(format!("{} cost of {package}: {why}", self.label));
                Value::Null
            }
        }
    }

    fn has_tests(&self, package: &str) -> bool {
        strings(&self.facts["suites"])
            .iter()
            .any(|suite| suite == package)
    }

    /// Runs a part of the package's own tests in two interpreters at once and in main.
    fn run_tests(&self, package: &str, session: &Session) -> Value {
        let name = format!("{} {package}'s own tests in two interpreters", self.label);
        let started = Instant::now();
        let words = [package, "--extensions", &self.extensions];
        let found = self
            .environment
            .install(&[PYTEST, "hypothesis"])
            .map_err(|error| (error.to_string(), Value::Null))
            .and_then(|()| self.run_script("suites.py", "two", &words, TESTS_LIMIT));
        match found {
            Ok(found) => {
                session.pass(&name, started);
                found
            }
            Err((why, found)) => {
                session.fail(format!("{name}: {why}"));
                let mut row = if found.is_object() { found } else { json!({}) };
                row["why"] = why.into();
                row
            }
        }
    }

    /// Runs those of covet_py's tests that need packages which `cargo xtask test` does not install.
    fn run_our_tests(&self, session: &Session) -> Result<()> {
        for package in ["numpy", "pandas", "pydantic"] {
            self.install(package)?;
        }
        self.environment.install(&[PYTEST])?;
        let mut pytest = Command::new(&self.environment.python);
        pytest
            .args("-m pytest -q -rsx --tb=short -p no:cacheprovider".split(' '))
            .arg(workspace::root().join("covet-py/tests/test_packages.py"));
        set_variables(&mut pytest);
        let name = format!("{} how processes with packages end and fork", self.label);
        session.step(&name, Runner::Pytest, pytest)?;
        Ok(())
    }

    /// Two interpreters and main use packages for so long.
    fn soak(&self, time: Duration, session: &Session) -> Value {
        let name = format!("{} soak of {} s", self.label, time.as_secs());
        let mut words = Vec::new();
        for package in SOAK {
            match self.install(package) {
                Ok(()) => words.push(package),
                Err(error) => {
                    let why = last_line(&error.to_string());
                    session.skip(format!("{name}: {package} is not installed: {why}"));
                }
            }
        }
        let started = Instant::now();
        let seconds = time.as_secs().to_string();
        words.extend(["--extensions", &self.extensions, "--seconds", &seconds]);
        match self.run_script("soak.py", "run", &words, time + LIMIT) {
            Ok(found) => {
                session.pass(&format!("{name}: {}", table::soak(&found)), started);
                found
            }
            Err((why, mut found)) => {
                session.fail(format!("{name}: {why}"));
                if !found.is_object() {
                    found = json!({"seconds": time.as_secs()});
                }
                found["why"] = why.into();
                found
            }
        }
    }

    /// Runs a script in a process of its own; returns the JSON that it wrote, or why it failed with what it had written.
    fn run_script(
        &self,
        script: &str,
        command: &str,
        words: &[&str],
        limit: Duration,
    ) -> std::result::Result<Value, (String, Value)> {
        let subject = words.first().copied().unwrap_or_default();
        let out = self.folder.join(format!("{command}-{subject}.json"));
        let _ = fs::remove_file(&out);
        let log = log_file(&format!("ecosystem {} {command} {subject}", self.label));
        let mut program = Command::new(&self.environment.python);
        program
            .arg(scripts().join(script))
            .arg(command)
            .args(words)
            .arg("--out")
            .arg(&out);
        set_variables(&mut program);
        let finished = process::run(&mut program, &log, limit)
            .map_err(|error| (error.to_string(), Value::Null))?;
        let found = read_json(&out);
        if finished.succeeded {
            return found.map_err(|error| (error.to_string(), Value::Null));
        }
        let why = match finished.ending.as_str() {
            // It says so itself.
            "ended with exit status: 1" => last_line(&finished.output),
            ending => format!("{ending}: {}", last_line(&finished.output)),
        };
        Err((why, found.unwrap_or_default()))
    }
}

fn last_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim);
    let last = lines.rfind(|line| !line.is_empty());
    last.unwrap_or("it says nothing").to_owned()
}

fn strings(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| Some(item.as_str()?.to_owned()))
        .collect()
}

fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read(path).context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&text).context(|| format!("reading {}", path.display()))
}
