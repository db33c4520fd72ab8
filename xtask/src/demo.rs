//! `cargo xtask demo`: one real job by every way this Python has to use the cores, and by Covet.
//!
//! The job parses and measures the files of Python's own standard library. Each way runs in a
//! process of its own (`xtask/demo/measure.py`), one after the other; a hash of the full results
//! says whether all ways found the same.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::args::Args;
use crate::chart;
use crate::error::{Context, Error, Result};
use crate::extension;
use crate::process;
use crate::pythons::{self, Found, Python};
use crate::report::{Report, failed_row};
use crate::workspace;

const USAGE: &str = "\
Usage: cargo xtask demo [--python PATH] [--workers N] [--json FILE]

  --python PATH   use this Python (or a version: 3.13), not the best one found
  --workers N     workers of each pool; else one for each core this process may use
  --json FILE     write the report there too; it is always in target/demo/report.json

Builds Covet for the Python, then parses and measures the files of its standard library by a plain
loop, the pools of concurrent.futures, independent processes and Covet, in about a minute. The exit
code is 1 if any way finds something else than the loop.
";

/// What one way may take: several times what it needs on a slow machine.
const WAY_LIMIT: Duration = Duration::from_secs(120);

#[derive(Default)]
struct Options {
    named: Vec<String>,
    workers: Option<u64>,
    json: Option<PathBuf>,
}

/// `cargo xtask demo`
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let Some(options) = parse(args)? else {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let found = pythons::find(&options.named)?;
    let python = &found.pythons[0];
    if found.searched {
        explain_choice(&found, python);
    }
    let environment = extension::prepare(python, &[])?;

    let started = Instant::now();
    let folder = workspace::target().join("demo");
    let demo = Demo {
        python: environment.python,
        script: workspace::root().join("xtask/demo/measure.py"),
        folder: folder.clone(),
    };
    let mut report = demo.measure(options.workers)?;
    report.seconds = started.elapsed().as_secs_f64();

    let svg = folder.join("report.svg");
    chart::draw(&report, &svg)?;
    let text = format!("{:#}\n", report.to_json());
    let json = folder.join("report.json");
    for path in [Some(&json), options.json.as_ref()].into_iter().flatten() {
        fs::write(path, &text).context(|| format!("writing {}", path.display()))?;
    }
    print!("{report}");
    println!("\nReport: {}\nChart:  {}", json.display(), svg.display());
    Ok(if report.different().is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn parse(mut args: Args) -> Result<Option<Options>> {
    let mut options = Options::default();
    while let Some(word) = args.next_word() {
        match word.as_str() {
            "--python" => options.named = vec![args.value("--python", USAGE)?],
            "--workers" => {
                let value = args.value("--workers", USAGE)?;
                let workers = value.parse().ok().filter(|workers| *workers > 0);
                options.workers = Some(workers.ok_or_else(|| {
                    let what = format!("--workers expects a number above 0; found `{value}`");
                    Error::usage(USAGE, what)
                })?);
            }
            "--json" => options.json = Some(args.value("--json", USAGE)?.into()),
            "--help" | "-h" => return Ok(None),
            _ => return Err(Error::usage(USAGE, format!("unknown option `{word}`"))),
        }
    }
    Ok(Some(options))
}

fn explain_choice(found: &Found, python: &Python) {
    println!("Pythons of this machine");
    for seen in &found.pythons {
        println!("  {seen}");
    }
    if !found.unsupported.is_empty() {
        let labels: Vec<_> = found.unsupported.iter().map(Python::label).collect();
        println!(
            "  and some that Covet does not support: {}",
            labels.join(", ")
        );
    }
    println!(
        "Chosen: {}, {}; --python PATH chooses another\n",
        python.label(),
        python.merit()
    );
}

/// The scripts, and where their results go.
struct Demo {
    python: PathBuf,
    script: PathBuf,
    folder: PathBuf,
}

impl Demo {
    fn measure(&self, workers: Option<u64>) -> Result<Report> {
        progress("looking at the files of the standard library");
        let mut facts = self.run_script("facts", &["facts"])?;
        let files = strings(&facts["files"]);
        let list = self.folder.join("files.json");
        fs::write(&list, Value::from(files.clone()).to_string())
            .context(|| format!("writing {}", list.display()))?;
        let cores = facts["machine"]["cores"].as_u64().unwrap_or(1);
        let workers = workers.unwrap_or(cores);

        let ways = strings(&facts["ways"]);
        let mut rows = Vec::new();
        for (number, way) in ways.iter().enumerate() {
            progress(&format!("{way} ({} of {})", number + 1, ways.len()));
            let list = list.to_string_lossy();
            let words = [
                "way",
                way,
                "--files",
                &list,
                "--workers",
                &workers.to_string(),
            ];
            match self.run_script(way, &words) {
                Ok(Value::Array(measured)) => rows.extend(measured),
                Ok(other) => {
                    return Err(Error::failed(format!(
                        "measure.py: rows expected, found {other}"
                    )));
                }
                Err(error) => rows.push(failed_row(way, &error.to_string())),
            }
        }
        progress("");
        facts["workers"] = workers.into();
        let words: Vec<_> = std::env::args().skip(1).collect();
        facts["command"] = format!("cargo xtask {}", words.join(" ")).into();
        Ok(Report::new(facts, files, rows))
    }

    /// Runs measure.py in a process of its own; returns the JSON it wrote.
    fn run_script(&self, name: &str, words: &[&str]) -> Result<Value> {
        let out = self.folder.join(name).with_extension("json");
        let log = self.folder.join(name).with_extension("log");
        let mut command = Command::new(&self.python);
        command.arg(&self.script).args(words).arg("--out").arg(&out);
        let finished = process::run(&mut command, &log, WAY_LIMIT)?;
        if !finished.succeeded {
            let said = match finished.output.trim() {
                "" => "It printed nothing.".to_owned(),
                said => format!("It says:\n{said}"),
            };
            let ending = finished.ending;
            return Err(Error::failed(format!("measuring {name} {ending}. {said}")));
        }
        read_json(&out)
    }
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

/// Shows what goes on, in one line, to a person only.
fn progress(doing: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K{doing}");
    }
}
