//! What the programs are told on the command line, and what they do around a measurement.

use std::path::PathBuf;
use std::time::Instant;
use std::{env, fs, process};

use crate::measure::{Effort, calibrate};
use crate::report::{self, Row};

/// The options of a program: `[--quick] [--json FILE] [--own-session] [WORD]`, and those that it has besides.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much time to spend.
    pub effort: Effort,
    /// A word that leaves only the cases that contain it.
    pub word: String,
    json: Option<PathBuf>,
    own_session: bool,
    more: Vec<(String, String)>,
}

impl Options {
    /// Reads the command line. Ends the process if it asks for what is not known.
    pub fn from_command_line() -> Self {
        Self::from_command_line_with(&[])
    }

    /// As [`Options::from_command_line`], with more options that are known; each is followed by its value.
    pub fn from_command_line_with(more: &[&str]) -> Self {
        Self::parse(env::args().skip(1), more).unwrap_or_else(|error| fail(&error))
    }

    fn parse(mut words: impl Iterator<Item = String>, more: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            effort: Effort::FULL,
            word: String::new(),
            json: None,
            own_session: false,
            more: Vec::new(),
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => options.effort = Effort::QUICK,
                "--own-session" => options.own_session = true,
                "--json" => {
                    let file = words.next().ok_or("--json expects a file; found none")?;
                    options.json = Some(file.into());
                }
                known if more.contains(&known) => {
                    let value = words.next();
                    let value = value.ok_or(format!("{word} expects a value; found none"))?;
                    options.more.push((word, value));
                }
                word if word.starts_with('-') => return Err(format!("unknown option `{word}`")),
                word => word.clone_into(&mut options.word),
            }
        }
        Ok(options)
    }

    /// Returns the value of one of the options that the program has besides, if it was given.
    pub fn value(&self, option: &str) -> Option<&str> {
        let given = self.more.iter().rfind(|(name, _)| name == option);
        given.map(|(_, value)| value.as_str())
    }

    /// Returns whether a case of this name is to be measured.
    pub fn wants(&self, case: &str) -> bool {
        case.contains(&self.word)
    }

    /// Calls `rows`, which measures and prints, between two calibrations, and writes what it returns as JSON if asked to.
    pub fn measure(&self, area: &str, rows: impl FnOnce() -> Vec<Row>) {
        // In a session of its own, this lifts nothing but this program.
        if self.own_session && fs::write("/proc/self/autogroup", "-20").is_err() {
            println!(
                "note: this session's priority cannot be raised here; other work may show in the figures"
            );
        }
        let begin = Instant::now();
        let before = calibrate();
        let rows = rows();
        let after = calibrate();
        println!(
            "\ncalibration: {before:.1} ms before, {after:.1} ms after; {:.0} s in total",
            begin.elapsed().as_secs_f64()
        );
        if (after / before - 1.0).abs() > 0.1 {
            println!("note: the machine changed its pace meanwhile; run again for figures to keep");
        }
        if let Some(file) = &self.json
            && let Err(error) = report::write_json(area, &rows, file)
        {
            fail(&format!("writing {}: {error}", file.display()));
        }
    }
}

/// Ends the process.
pub fn fail(error: &str) -> ! {
    eprintln!("{error}");
    process::exit(2);
}
