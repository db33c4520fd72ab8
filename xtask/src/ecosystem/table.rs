//! What was found of the packages: a record for each release line of Python, and what is made from all of them: the page, and the
//! verdicts that ship with covet-interp.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::read_json;
use crate::error::{Context, Result};
use crate::workspace;

/// The release line whose costs are shown; of the others, whether the package works.
pub(super) const SHOWN: &str = "3.14";

/// What was found on one release line, `docs/ecosystem/<line>.json`.
pub(super) struct Record {
    path: PathBuf,
    content: Value,
}

impl Record {
    /// Reads the record, or begins one.
    pub(super) fn read(line: &str, release: &str, facts: &Value) -> Result<Self> {
        let path = folder().join(format!("{line}.json"));
        let mut content = match path.exists() {
            true => read_json(&path)?,
            false => json!({"packages": {}}),
        };
        content["python"] = release.into();
        content["machine"] = facts["machine"].clone();
        content["date"] = facts["date"].clone();
        Ok(Self { path, content })
    }

    /// Replaces what is known of a package; tests that were not run now stay as they were.
    pub(super) fn set(&mut self, package: &str, mut row: Value) {
        let old = &mut self.content["packages"][package];
        if row["tests"].is_null() && old["tests"].is_object() {
            row["tests"] = old["tests"].take();
        }
        *old = row;
    }

    pub(super) fn set_soak(&mut self, found: Value) {
        self.content["soak"] = found;
    }

    pub(super) fn write(&self) -> Result<()> {
        fs::create_dir_all(folder()).context(|| format!("making {}", folder().display()))?;
        let text = format!("{:#}\n", self.content);
        fs::write(&self.path, text).context(|| format!("writing {}", self.path.display()))
    }
}

fn folder() -> PathBuf {
    workspace::root().join("docs/ecosystem")
}

/// Writes the page and the verdicts from the records; returns the path of the page.
pub(super) fn write() -> Result<PathBuf> {
    let mut records = BTreeMap::new();
    let entries = folder().read_dir();
    for entry in entries
        .context(|| format!("reading {}", folder().display()))?
        .flatten()
    {
        let path = entry.path();
        if let Some(line) = path.file_stem() {
            records.insert(line.to_string_lossy().into_owned(), read_json(&path)?);
        }
    }
    write_known(&records)?;
    let page = workspace::root().join("docs/ECOSYSTEM.md");
    fs::write(&page, page_of(&records)).context(|| format!("writing {}", page.display()))?;
    Ok(page)
}

type Records = BTreeMap<String, Value>;

/// The line of known.txt below which the verdicts stand that were found here.
const MEASURED: &str = "# Found by `cargo xtask ecosystem`:\n";

fn write_known(records: &Records) -> Result<()> {
    let path = workspace::root().join("covet-interp/src/image/known.txt");
    let text = fs::read_to_string(&path).context(|| format!("reading {}", path.display()))?;
    let by_hand = text.split(MEASURED).next().unwrap_or_default();
    let text = format!("{by_hand}{MEASURED}{}", known(records));
    fs::write(&path, text).context(|| format!("writing {}", path.display()))
}

/// A line for each package that worked as private images, with the Pythons on which it did.
fn known(records: &Records) -> String {
    let mut pythons: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (line, record) in records {
        for row in rows(record).values().filter(|row| row["result"] == "works") {
            for package in row["images_of"].as_array().into_iter().flatten() {
                let words = super::strings(package).join(" ");
                pythons.entry(words).or_default().insert(line);
            }
        }
    }
    let lines = pythons.into_iter().map(|(words, lines)| {
        let lines: Vec<_> = lines.into_iter().collect();
        format!("{words} {}\n", lines.join(","))
    });
    lines.collect()
}

fn page_of(records: &Records) -> String {
    let mut page = String::from(
        "# Packages in interpreters with a GIL of their own\n\n\
         Written by `cargo xtask ecosystem --python VERSION [--tests]`; what each package is asked to do stands in\n\
         [recipes](../xtask/ecosystem/recipes). A package *works* if two interpreters of one process, at the same time and\n\
         20 times over, get the main interpreter's answer, and the process ends well.\n\n",
    );
    for (line, record) in records {
        let text = |key: &str| record[key].as_str().unwrap_or("?");
        let all = rows(record);
        let count = |result: &str| all.values().filter(|row| row["result"] == result).count();
        let installed = all.len() - count("not installed");
        writeln!(
            page,
            "- Python {line} ({}): {} of {installed} packages work, {} have no wheel ({}, {})",
            text("python"),
            count("works"),
            count("not installed"),
            text("machine"),
            text("date"),
        )
        .unwrap_or_default();
    }
    packages(&mut page, records);
    failures(&mut page, records);
    suites(&mut page, records);
    soaks(&mut page, records);
    page
}

/// By name, in the order of the alphabet.
fn rows(record: &Value) -> BTreeMap<String, &Value> {
    let packages = record["packages"].as_object().into_iter().flatten();
    packages
        .map(|(name, row)| (name.to_lowercase(), row))
        .collect()
}

fn packages(page: &mut String, records: &Records) {
    let nothing = Value::Null;
    let shown = records.get(SHOWN).unwrap_or(&nothing);
    let others: Vec<_> = records.iter().filter(|(line, _)| *line != SHOWN).collect();
    let _ = write!(
        page,
        "\n## Packages\n\n\
         Versions and figures are those of Python {SHOWN}. *Way*: how many of its extension modules (and of what it imports) load\n\
         natively, how many as private images. *Import*: in the main interpreter, and in an interpreter when another has it already:\n\
         milliseconds, and MiB by which the process grows (PSS) until it was used once. *2 : 1*: how much more two interpreters\n\
         do at the same time than one alone, where the work is computing; *loop*: the same of a loop in plain Python in the same\n\
         seconds, which is what the machine had to give: one that others use gives little, and its times are long.\n\n\
         | package | version | way | {SHOWN} | import in main | in a further interpreter | 2 : 1 | loop |"
    );
    for (line, _) in &others {
        let _ = write!(page, " {line} |");
    }
    page.push_str("\n|---|---|---|---|--:|--:|--:|--:|");
    page.push_str(&"---|".repeat(others.len()));
    for (name, row) in rows(shown) {
        let version = row["version"].as_str().unwrap_or_default();
        let _ = write!(
            page,
            "\n| {name} | {version} | {} | {} |",
            way(row),
            result(row)
        );
        let cost = &row["cost"];
        for place in ["main", "further"] {
            let part = |unit: &str| cost[format!("{place}_{unit}")].as_f64();
            match (part("ms"), part("mib")) {
                (Some(ms), Some(mib)) => write!(page, " {ms:.0} ms, {mib:.1} MiB |"),
                _ => write!(page, " |"),
            }
            .unwrap_or_default();
        }
        for ratio in ["two_to_one", "loop_two_to_one"] {
            let _ = match cost[ratio].as_f64() {
                Some(ratio) => write!(page, " {ratio:.2} |"),
                None => write!(page, " |"),
            };
        }
        for (_, record) in &others {
            let found = rows(record).get(&name).map_or("", |row| result(row));
            let _ = write!(page, " {found} |");
        }
    }
    page.push('\n');
}

fn way(row: &Value) -> String {
    let parts = [
        ("native", "native"),
        ("images", "image"),
        ("refused", "refused"),
    ];
    let parts = parts.iter().filter_map(|(key, name)| {
        let count = row[*key].as_u64().filter(|count| *count > 0)?;
        Some(format!("{count} {name}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn result(row: &Value) -> &str {
    match row["result"].as_str() {
        Some("fails") => "**fails**",
        Some("not installed") => "no wheel",
        other => other.unwrap_or_default(),
    }
}

fn failures(page: &mut String, records: &Records) {
    let mut lines = Vec::new();
    for (line, record) in records {
        for (name, row) in rows(record) {
            if row["result"] == "fails" {
                let why = row["why"].as_str().unwrap_or_default();
                lines.push(format!("- {name} on {line}: {why}\n"));
            }
        }
    }
    if !lines.is_empty() {
        page.push_str("\n## What fails\n\n");
        page.extend(lines);
    }
}

fn suites(page: &mut String, records: &Records) {
    let mut lines = Vec::new();
    for (line, record) in records {
        for (name, row) in rows(record) {
            let found = &row["tests"];
            let text = |key: &str| match &found[key] {
                Value::String(text) => text.clone(),
                Value::Array(items) => {
                    let items: Vec<_> = items.iter().map(Value::to_string).collect();
                    items.join(", ")
                }
                Value::Null => String::new(),
                other => other.to_string(),
            };
            if found.is_object() {
                lines.push(format!(
                    "| {name} | {line} | {} | {} | {} | {} | {} | {} |\n",
                    text("what"),
                    text("main"),
                    text("two"),
                    text("not_allowed"),
                    text("lost"),
                    text("seconds"),
                ));
            }
        }
    }
    if !lines.is_empty() {
        page.push_str(
            "\n## Their own tests\n\n\
             How many pass in a process without Covet, and in each of two interpreters at the same time. *Not allowed*: passes in main,\n\
             and asks for what no interpreter but main may do (fork, handlers of signals). *Lost*: passes in main, and fails for\n\
             another reason.\n\n\
             | package | Python | tests | main | two interpreters | not allowed | lost | s |\n|---|---|---|--:|--:|--:|--:|--:|\n",
        );
        page.extend(lines);
    }
}

fn soaks(page: &mut String, records: &Records) {
    let lines: Vec<_> = records
        .iter()
        .filter(|(_, record)| record["soak"].is_object())
        .map(|(line, record)| format!("- {line}: {}\n", soak(&record["soak"])))
        .collect();
    if !lines.is_empty() {
        page.push_str(
            "\n## For long\n\n\
             Two interpreters and main use packages side by side, and every third task raises an error of theirs: `cargo xtask ecosystem\n\
             --python VERSION --soak SECONDS`. The memory (PSS) is that of the second and of the last quarter of the time.\n\n",
        );
        page.extend(lines);
    }
}

/// What was seen in a long use of packages, in a line.
pub(super) fn soak(found: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    if let Some(why) = found["why"].as_str() {
        return format!("{} s, **fails**: {why}", number(&found["seconds"]));
    }
    let tasks = &found["tasks"];
    format!(
        "{} s of {}: {} tasks in workers, {} in borrowed interpreters and {} in main, {} errors of theirs, {} wrong answers, \
         {:.0} MiB, then {:.0}",
        number(&found["seconds"]),
        super::strings(&found["packages"]).join(", "),
        tasks["worker"],
        tasks["borrowed"],
        tasks["main"],
        found["errors"],
        found["wrong"],
        number(&found["warm_mib"]),
        number(&found["last_mib"]),
    )
}

#[cfg(test)]
mod tests {
    use super::{Records, known, page_of};
    use serde_json::json;

    #[test]
    fn a_package_is_a_line_with_what_each_python_made_of_it() {
        let works = json!({"result": "works", "version": "2.0", "native": 1, "images": 12, "refused": 0,
            "images_of": [["numpy", "numpy", "2.0"]],
            "cost": {"main_ms": 90.4, "main_mib": 20.0, "further_ms": 50.0, "further_mib": 7.26,
                "two_to_one": 1.85, "loop_two_to_one": 1.9}});
        let fails = json!({"result": "fails", "version": null, "why": "no luck"});
        let records = Records::from([
            (
                "3.13".into(),
                json!({"packages": {"numpy": fails, "Pillow": {"result": "not installed"}}}),
            ),
            (
                "3.14".into(),
                json!({"python": "3.14.1", "packages": {"numpy": works}}),
            ),
        ]);
        let page = page_of(&records);
        for line in [
            "| numpy | 2.0 | 1 native, 12 image | works | 90 ms, 20.0 MiB | 50 ms, 7.3 MiB | 1.85 | 1.90 | **fails** |",
            "- Python 3.13 (?): 0 of 1 packages work, 1 have no wheel (?, ?)",
            "- numpy on 3.13: no luck",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(!page.contains("Their own tests"));
        assert_eq!(known(&records), "numpy numpy 2.0 3.14\n");
    }
}
