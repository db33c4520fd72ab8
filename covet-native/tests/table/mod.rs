//! Reading the tables of `tests/cases`; see the README there.

use std::fmt;
use std::path::PathBuf;
use std::{env, fs};

use covet_native::Error;

/// One line of a table.
pub(crate) struct Case {
    place: String,
    section: String,
    pub(crate) options: Vec<String>,
    pub(crate) input: Vec<u8>,
    /// Where the input is wrong, if that is marked.
    offset: Option<u64>,
    pub(crate) expected: String,
}

pub(crate) struct Table;

impl Table {
    /// The cases of `tests/cases/NAME.txt`.
    pub(crate) fn read(name: &str) -> impl Iterator<Item = Case> {
        let folder = env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
        let file = folder.join("tests/cases").join(name).with_extension("txt");
        let lines = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let mut template = "{}".to_owned();
        let mut options = Vec::new();
        let mut cases = Vec::new();
        for (number, line) in lines.lines().enumerate() {
            if let Some(text) = line.strip_prefix("@template ") {
                text.clone_into(&mut template);
            } else if let Some(text) = line.strip_prefix("@options") {
                options = text.split_whitespace().map(str::to_owned).collect();
            } else if !line.is_empty() && !line.starts_with("# ") {
                let place = format!("{name}.txt:{}", number + 1);
                cases.push(Case::new(place, line, &template, &options));
            }
        }
        cases.into_iter()
    }
}

impl Case {
    fn new(place: String, line: &str, template: &str, options: &[String]) -> Self {
        let parts: Vec<_> = line.split(" | ").map(str::trim).collect();
        let [section, input, expected] = parts[..] else {
            panic!("{place}: expected `section | input | verdict`; found {line:?}");
        };
        let input = template.replacen("{}", input.trim_matches('`'), 1);
        let (input, offset) = unescape(&input);
        Self {
            place,
            section: section.to_owned(),
            options: options.to_vec(),
            input,
            offset,
            expected: expected.to_owned(),
        }
    }

    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        let mut options = self.options.iter();
        options.find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }

    pub(crate) fn expect_incomplete(&self) {
        assert_eq!(self.expected, "incomplete", "{self}");
    }

    /// `ok`, with facts behind a colon that are all to be among these.
    pub(crate) fn expect_facts(&self, facts: &[String]) {
        let expected = self
            .expected
            .strip_prefix("ok")
            .unwrap_or_else(|| panic!("{self}: expected {}; found {facts:#?}", self.expected));
        for fact in expected.trim_start_matches(':').split("; ").map(str::trim) {
            assert!(
                fact.is_empty() || facts.iter().any(|found| found == fact),
                "{self}: expected {fact:?} among {facts:#?}"
            );
        }
    }

    pub(crate) fn expect_error(&self, error: &Error) {
        assert_eq!(error.rule.name(), self.expected, "{self}: {error}");
        if let Some(offset) = self.offset {
            assert_eq!(error.offset, offset, "{self}: {error}");
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}): {}",
            self.place,
            self.section,
            self.input.escape_ascii()
        )
    }
}

/// Returns the bytes that a line of a table stands for, and where the mark of an error was.
fn unescape(text: &str) -> (Vec<u8>, Option<u64>) {
    let mut bytes = Vec::new();
    let mut mark = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '⏎' => bytes.extend_from_slice(b"\r\n"),
            '▸' => mark = Some(bytes.len() as u64),
            // «text*5» is the text five times.
            '«' => {
                let group: String = rest.by_ref().take_while(|&c| c != '»').collect();
                let (part, times) = group.rsplit_once('*').expect("«text*times»");
                let (part, _) = unescape(part);
                bytes.extend(part.repeat(times.parse().expect("a number of times")));
            }
            '\\' => match rest.next().expect("something behind a backslash") {
                'r' => bytes.push(b'\r'),
                'n' => bytes.push(b'\n'),
                't' => bytes.push(b'\t'),
                's' => bytes.push(b' '),
                '0' => bytes.push(0),
                'x' => {
                    let digits: String = rest.by_ref().take(2).collect();
                    bytes.push(u8::from_str_radix(&digits, 16).expect("two hexadecimal digits"));
                }
                other => bytes.extend_from_slice(other.to_string().as_bytes()),
            },
            other => bytes.extend_from_slice(other.to_string().as_bytes()),
        }
    }
    (bytes, mark)
}
