//! The demo's report: what was measured, as a table for people and as JSON for programs.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

pub(crate) struct Report {
    /// Date, command line, machine, Python, workers.
    pub(crate) facts: Value,
    pub(crate) files: Vec<String>,
    /// One per way: what `measure.py` wrote, and how it compares with the loop. The loop is first.
    pub(crate) rows: Vec<Value>,
    /// What measuring took in all.
    pub(crate) seconds: f64,
}

impl Report {
    /// Compares all rows with the loop. Of the loops, the faster is the one to beat.
    pub(crate) fn new(facts: Value, files: Vec<String>, measured: Vec<Value>) -> Self {
        let (mut loops, others): (Vec<_>, Vec<_>) =
            measured.into_iter().partition(|row| row["way"] == "loop");
        let seconds = |row: &Value| row["warm_seconds"].as_f64().unwrap_or(f64::INFINITY);
        loops.sort_by(|a, b| seconds(a).total_cmp(&seconds(b)));
        let of_loops: Vec<Value> = loops.iter().flat_map(digests).collect();
        let expected = of_loops.first().cloned();
        loops.truncate(1);
        let loop_seconds = loops.first().map_or(f64::NAN, seconds);
        if let Some(row) = loops.first_mut() {
            row["digests"] = of_loops.into();
        }

        let mut rows = loops;
        rows.extend(others);
        for row in &mut rows {
            if let Some(warm) = row["warm_seconds"].as_f64() {
                row["tasks_per_second"] = (files.len() as f64 / warm).into();
                row["times_loop"] = (loop_seconds / warm).into();
            }
            let found = digests(row);
            let identical =
                !found.is_empty() && found.iter().all(|digest| Some(digest) == expected.as_ref());
            row["identical"] = identical.into();
        }
        Self {
            facts,
            files,
            rows,
            seconds: 0.0,
        }
    }

    /// Returns the labels of the ways that failed or found something else than the loop.
    pub(crate) fn different(&self) -> Vec<&str> {
        let different = self.rows.iter().filter(|row| row["identical"] != true);
        different.map(|row| text(&row["label"])).collect()
    }

    /// Returns where and when this was measured, in a line.
    pub(crate) fn place(&self) -> String {
        let machine = &self.facts["machine"];
        format!(
            "Python {}, {} workers on {} cores, {}, {}",
            text(&self.facts["python"]["version"]),
            self.facts["workers"],
            machine["cores"],
            text(&machine["cpu"]),
            text(&self.facts["date"]),
        )
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut document = self.facts.clone();
        document["seconds"] = self.seconds.into();
        document["identical"] = self.different().is_empty().into();
        document["rows"] = self.rows.clone().into();
        document["files"] = self.files.clone().into();
        document
    }

    fn write_facts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (machine, python) = (&self.facts["machine"], &self.facts["python"]);
        writeln!(
            f,
            "Machine   {}, {} cores, {:.1} GiB, {}, {}",
            text(&machine["cpu"]),
            machine["cores"],
            machine["memory_gib"].as_f64().unwrap_or_default(),
            text(&machine["system"]),
            text(&machine["libc"]),
        )?;
        writeln!(
            f,
            "Python    {} ({}, {}), {}",
            text(&python["version"]),
            text(&python["build"]),
            text(&python["compiler"]),
            if python["gil"] == true {
                "with a GIL"
            } else {
                "without a GIL"
            },
        )?;
        if let Some(covet) = self.rows.iter().find(|row| row["strategy"].is_string()) {
            let (strategy, reason) = (text(&covet["strategy"]), text(&covet["strategy_reason"]));
            writeln!(f, "Strategy  {strategy}: {reason}")?;
        }
        let count = grouped(self.files.len() as u64);
        let found = grouped(self.facts["files_found"].as_u64().unwrap_or_default());
        let which = match self.facts["file_limit_kib"].as_u64() {
            Some(kib) => {
                format!("{count} of {found} (up to {kib} KiB each, to end within a minute)")
            }
            None => format!("all {count}"),
        };
        writeln!(
            f,
            "Job       tokenize, parse and measure the source files of Python's own library:"
        )?;
        writeln!(f, "          {which} in {}", text(&self.facts["library"]))?;
        writeln!(f, "Workers   {}\n", self.facts["workers"])
    }

    fn write_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = [
            (["new", "s"], "new_seconds", 2),
            (["warm", "s"], "warm_seconds", 2),
            (["times", "loop"], "times_loop", 2),
            (["tasks", "per s"], "tasks_per_second", 0),
            (["map", "µs/task"], "map_us", 2),
            (["submit", "µs/task"], "submit_us", 2),
            (["call", "µs/task"], "call_us", 2),
            (["RSS", "MiB"], "rss_mib", 1),
            (["PSS", "MiB"], "pss_mib", 1),
        ];
        let width = self
            .rows
            .iter()
            .map(|row| text(&row["label"]).chars().count())
            .max()
            .unwrap_or(0);
        for line in 0..2 {
            let cells: String = columns
                .iter()
                .map(|(title, ..)| format!("{:>9}", title[line]))
                .collect();
            writeln!(f, "{:width$}{cells}", "")?;
        }
        for row in &self.rows {
            let mut cells = String::new();
            for (_, field, digits) in columns {
                match row[field].as_f64() {
                    Some(number) => write!(cells, "{number:>9.digits$}")?,
                    None => write!(cells, "{:>9}", "-")?,
                }
            }
            writeln!(f, "{:width$}{cells}", text(&row["label"]))?;
        }
        Ok(())
    }

    fn write_notes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "\nnew: the whole job, making the pool included; warm: the job again in the same pool.\n\
             times loop: how many times faster than the plain loop (warm). µs/task: a function that returns its\n\
             argument, median of rounds, by map(), by submit().result() and by call() (loop: a plain call).\n\
             RSS, PSS: the whole process tree while the pool is warm.\n",
        )?;
        for row in &self.rows {
            if let Some(us) = row["chunked_map_us"].as_f64() {
                writeln!(
                    f,
                    "{}: map() with chunksize=256 takes {us:.2} µs/task.",
                    text(&row["label"])
                )?;
            }
            if let Some(error) = row["error"].as_str() {
                writeln!(f, "\n{}: {error}", text(&row["label"]))?;
            }
        }
        Ok(())
    }

    /// Says so when the ceiling itself is low: then other programs had the cores.
    fn write_busy(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ceiling = self.rows.iter().find(|row| row["way"] == "plain");
        let reached = ceiling.and_then(|row| row["times_loop"].as_f64());
        let cores = self.facts["machine"]["cores"].as_f64().unwrap_or(1.0);
        let expected = self.facts["workers"].as_f64().unwrap_or(1.0).min(cores);
        match reached {
            Some(reached) if reached < 0.8 * expected => writeln!(
                f,
                "\nThe machine was busy, or its cores are not equal: even plain processes ran only \
                 {reached:.2} times as\nfast as the loop, {expected:.0} were to be expected. Figures of an idle \
                 machine are better."
            ),
            _ => Ok(()),
        }
    }

    fn write_findings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(findings) = self.rows.first().map(|row| &row["findings"]) else {
            return Ok(());
        };
        let number = |field: &str| grouped(findings[field].as_u64().unwrap_or_default());
        writeln!(
            f,
            "\nFound: {} functions in {} lines of {} files ({} more are no Python); {:.0} % of functions, classes \
             and modules have a docstring; the longest function has {} lines.",
            number("functions"),
            number("lines"),
            number("files"),
            number("not_python"),
            findings["docstring_coverage"].as_f64().unwrap_or_default() * 100.0,
            number("longest_function"),
        )?;
        writeln!(f, "The ten most complex functions (cyclomatic complexity):")?;
        let library = text(&self.facts["library"]);
        for function in findings["most_complex"].as_array().into_iter().flatten() {
            let file = text(&function["file"]);
            let file = file
                .strip_prefix(library)
                .unwrap_or(file)
                .trim_start_matches('/');
            let place = format!("{file}:{}", function["line"]);
            writeln!(
                f,
                "  {:>4}  {place:<44} {}",
                function["complexity"],
                text(&function["name"])
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_facts(f)?;
        self.write_table(f)?;
        self.write_notes(f)?;
        self.write_busy(f)?;
        match self.different()[..] {
            [] => writeln!(f, "\nResults identical to the loop: yes")?,
            ref different => writeln!(
                f,
                "\nResults identical to the loop: NO: {}",
                different.join(", ")
            )?,
        }
        self.write_findings(f)?;
        writeln!(f, "\nMeasured in {:.0} s.", self.seconds)
    }
}

fn digests(row: &Value) -> Vec<Value> {
    row["digests"].as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Writes 1234567 as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a row for a way that did not end well.
pub(crate) fn failed_row(way: &str, error: &str) -> Value {
    json!({"way": way, "label": way, "error": error})
}

#[cfg(test)]
mod tests {
    use super::{Report, failed_row, grouped};
    use serde_json::{Value, json};

    fn report(rows: Vec<Value>) -> Report {
        Report::new(
            json!({"workers": 2}),
            vec!["a.py".into(), "b.py".into()],
            rows,
        )
    }

    fn row(way: &str, seconds: f64, digests: &[&str]) -> Value {
        json!({"way": way, "label": way, "warm_seconds": seconds, "digests": digests})
    }

    #[test]
    fn ways_are_compared_with_the_faster_loop() {
        let report = report(vec![
            row("loop", 4.0, &["x"]),
            row("threads", 4.0, &["x", "x"]),
            row("loop", 2.0, &["x"]),
        ]);
        assert_eq!(report.rows.len(), 2);
        assert_eq!(report.rows[0]["warm_seconds"], 2.0);
        assert_eq!(report.rows[1]["times_loop"], 0.5);
        assert_eq!(report.rows[1]["tasks_per_second"], 0.5);
        assert!(report.different().is_empty());
        assert!(report.to_string().contains("identical to the loop: yes"));
    }

    #[test]
    fn any_pass_that_differs_and_any_way_that_fails_is_named() {
        let report = report(vec![
            row("loop", 4.0, &["x"]),
            row("warm differs", 4.0, &["x", "y"]),
            row("same", 4.0, &["x"]),
            failed_row("crashed", "it ended with signal 11"),
        ]);
        assert_eq!(report.different(), ["warm differs", "crashed"]);
        assert_eq!(report.to_json()["identical"], false);
        assert!(report.to_string().contains("NO: warm differs, crashed"));
    }

    #[test]
    fn loops_that_differ_from_each_other_are_a_difference() {
        let report = report(vec![row("loop", 4.0, &["x"]), row("loop", 5.0, &["y"])]);
        assert_eq!(report.different(), ["loop"]);
    }

    #[test]
    fn a_low_ceiling_is_called_a_busy_machine() {
        for (seconds, busy) in [(2.1, false), (3.9, true)] {
            let mut report = report(vec![
                row("loop", 4.0, &["x"]),
                row("plain", seconds, &["x"]),
            ]);
            report.facts["machine"]["cores"] = 2.into();
            assert_eq!(report.to_string().contains("machine was busy"), busy);
        }
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
