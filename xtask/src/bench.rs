//! `cargo xtask bench`: Covet beside its peers, in one process, as undisturbed as this machine allows.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use serde_json::Value;

use crate::args::Args;
use crate::ecosystem;
use crate::error::{Context, Error, Result};
use crate::extension;
use crate::pythons;
use crate::workspace;

const USAGE: &str = "\
Usage: cargo xtask bench [AREA] [--quick] [--json FILE] [--case TEXT] [--python PATH] [--lives N]

  AREA            queue, awaited (its calls that wait as a task), native, simd-crates, interp, or all of these (the
                  default); or images, native-python or simd, which install packages from PyPI
  --quick         fewer and shorter samples: under a minute, to see whether something is far off
  --json FILE     also write the table as JSON: area, case, unit, covet, peer, peer_value, ratio, samples
  --case TEXT     only the cases whose name contains this
  --python PATH   the Python of interp, images, native-python and simd (or a version: 3.13), not the best one found
  --lives N       how many lives of a worker interp looks at, not 1000

Builds the programs of `benches` with all the peers, and runs them in a login session of their own, with a raised priority
where the system permits it. Read the ratios: peer / Covet, above 1 Covet is ahead. They are of one run, and so is the
machine's load; the calibration at the end tells whether it stayed the same.
";

/// The areas that need nothing from elsewhere, each a program of `benches`.
const AREAS: [&str; 5] = ["queue", "awaited", "native", "simd-crates", WITH_PYTHON];

/// The areas whose peers are built for them alone.
const WITH_PEERS: [&str; 2] = ["native", "simd-crates"];

/// The area whose program embeds a Python.
const WITH_PYTHON: &str = "interp";

/// An area that is a script, `benches/AREA/main.py`, and the packages that it uses.
struct Script {
    area: &'static str,
    packages: &'static [&'static str],
}

const SCRIPTS: [Script; 3] = [
    Script {
        area: "images",
        packages: &[
            "fastapi",
            "httptools",
            "httpx",
            "numpy",
            "orjson",
            "pandas",
            "pyarrow",
            "pydantic",
            "scikit-learn",
            "scipy",
        ],
    },
    Script {
        area: "native-python",
        packages: &[
            "aiohttp",
            "gunicorn_h1c",
            "h11",
            "httptools",
            "starlette",
            "werkzeug",
            "zttp",
        ],
    },
    Script {
        area: "simd",
        packages: &["numexpr", "numpy", "polars", "scipy"],
    },
];

#[derive(Default)]
struct Options {
    area: Option<String>,
    quick: bool,
    json: Option<PathBuf>,
    case: Option<String>,
    python: Vec<String>,
    lives: Option<String>,
}

/// `cargo xtask bench`
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let Some(options) = parse(args)? else {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let script = |name: &str| SCRIPTS.iter().find(|script| script.area == name);
    let areas = match options.area.as_deref() {
        None | Some("all") => &AREAS[..],
        Some(name) => match (AREAS.iter().find(|area| **area == name), script(name)) {
            (Some(area), _) => std::slice::from_ref(area),
            (None, Some(script)) => &[script.area],
            (None, None) => {
                let what = format!(
                    "expected {}, all, images, native-python or simd; found `{name}`",
                    AREAS.join(", ")
                );
                return Err(Error::usage(USAGE, what));
            }
        },
    };
    let mut rows = Vec::new();
    for area in areas {
        rows.extend(match *area {
            WITH_PYTHON => measure_with_python(area, &options)?,
            area => match script(area) {
                Some(script) => measure_by_script(script, &options)?,
                None => measure_alone(area, &options)?,
            },
        });
    }
    if let Some(file) = &options.json {
        let text = format!("{:#}\n", Value::from(rows));
        fs::write(file, text).context(|| format!("writing {file:?}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(mut args: Args) -> Result<Option<Options>> {
    let mut options = Options::default();
    while let Some(word) = args.next_word() {
        match word.as_str() {
            "--quick" => options.quick = true,
            "--json" => options.json = Some(args.value("--json", USAGE)?.into()),
            "--case" => options.case = Some(args.value("--case", USAGE)?),
            "--python" => options.python = vec![args.value("--python", USAGE)?],
            "--lives" => options.lives = Some(args.value("--lives", USAGE)?),
            "--help" | "-h" => return Ok(None),
            word if word.starts_with('-') || options.area.is_some() => {
                return Err(Error::usage(USAGE, format!("unknown option `{word}`")));
            }
            area => options.area = Some(area.to_owned()),
        }
    }
    Ok(Some(options))
}

fn measure_alone(area: &str, options: &Options) -> Result<Vec<Value>> {
    let target = workspace::target().join("bench");
    let mut cargo = build(&target, area);
    if WITH_PEERS.contains(&area) {
        cargo.args(["--features", area]);
    }
    succeed(cargo, "building the benches")?;
    measure(&target, area, options, &[])
}

/// In a target folder of its own for each Python: another one rebuilds everything.
fn measure_with_python(area: &str, options: &Options) -> Result<Vec<Value>> {
    let found = pythons::find(&options.python)?;
    let python = &found.pythons[0];
    python.library_folder().map_err(Error::failed)?;
    println!("{python}");
    let target = extension::folder(python).join("bench");
    let mut cargo = build(&target, area);
    cargo
        .args(["--features", area])
        .env("PYO3_PYTHON", &python.executable);
    succeed(cargo, "building the benches")?;
    let environment = extension::prepare(python, &[])?;
    let mut words: Vec<&OsStr> = vec!["--python".as_ref(), environment.python.as_ref()];
    if let Some(lives) = &options.lives {
        words.extend(["--lives".as_ref(), lives.as_ref()] as [&OsStr; 2]);
    }
    measure(&target, area, options, &words)
}

/// By Python, since what is measured is what a Python program sees.
fn measure_by_script(script: &Script, options: &Options) -> Result<Vec<Value>> {
    let found = pythons::find(&options.python)?;
    let python = &found.pythons[0];
    println!("{python}");
    let environment = ecosystem::environment(python)?;
    environment.install_or_build(script.packages)?;
    let area = script.area;
    let json = extension::folder(python).join(format!("{area}.json"));
    let benches = workspace::root().join("benches");
    let modules = env::join_paths([&benches, &ecosystem::scripts()])
        .context(|| "naming where the modules of the scripts are".into())?;
    let mut command = Command::new(&environment.python);
    command
        .arg(benches.join(area).join("main.py"))
        .arg("--json")
        .arg(&json)
        .env("PYTHONPATH", modules);
    ecosystem::set_variables(&mut command);
    if options.quick {
        command.arg("--quick");
    }
    command.args(&options.case);
    succeed(command, &format!("measuring {area}"))?;
    read_rows(&json)
}

fn build(target: &Path, area: &str) -> Command {
    let mut cargo = workspace::cargo(target);
    cargo
        .args("build --quiet --release --locked --package covet-benches --bin".split(' '))
        .arg(area);
    cargo
}

/// Runs the program of an area and returns its rows.
fn measure(target: &Path, area: &str, options: &Options, words: &[&OsStr]) -> Result<Vec<Value>> {
    let program = target
        .join("release")
        .join(format!("{area}{}", env::consts::EXE_SUFFIX));
    let json = target.join(format!("{area}.json"));
    let mut command = in_own_session(&program);
    command.arg("--json").arg(&json).args(words);
    if options.quick {
        command.arg("--quick");
    }
    command.args(&options.case);
    succeed(command, &format!("measuring {area}"))?;
    read_rows(&json)
}

fn read_rows(json: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(json).context(|| format!("reading {json:?}"))?;
    serde_json::from_str(&text).context(|| format!("reading {json:?}"))
}

/// Returns a command that runs the program in a login session of its own. Only there may it raise the session's priority: the
/// scheduler shares cores between sessions first, and ours is the user's.
fn in_own_session(program: &Path) -> Command {
    let setsid = Command::new("setsid")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if setsid.is_ok_and(|status| status.success()) {
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(program).arg("--own-session");
        command
    } else {
        println!(
            "note: there is no `setsid` here, so other work of this session may show in the figures"
        );
        Command::new(program)
    }
}

fn succeed(mut command: Command, doing: &str) -> Result<()> {
    let status = command.status().context(|| doing.to_owned())?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::failed(format!("{doing}: ended with {status}")))
    }
}

#[cfg(test)]
mod tests {
    use super::{Args, parse, run};

    fn args(words: &[&str]) -> Args {
        Args::new(words.iter().map(Into::into).collect())
    }

    #[test]
    fn an_area_and_options_are_taken_in_any_order() {
        let words = ["--quick", "queue", "--json=out.json", "--case", "blocking"];
        let options = parse(args(&words)).unwrap().unwrap();
        assert_eq!(options.area.as_deref(), Some("queue"));
        assert!(options.quick);
        assert_eq!(options.json.unwrap().to_str(), Some("out.json"));
        assert_eq!(options.case.as_deref(), Some("blocking"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for words in [
            &["nothing"][..],
            &["queue", "queue"],
            &["--fast"],
            &["--json"],
        ] {
            assert!(run(args(words)).is_err(), "{words:?}");
        }
    }
}
