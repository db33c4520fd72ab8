//! The table that is printed, and the same as JSON.

use std::path::Path;
use std::{fs, io};

use serde_json::{Value, json};

/// One peer in one case, beside Covet.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was done.
    pub case: String,
    /// What the values are in.
    pub unit: &'static str,
    /// What Covet took.
    pub covet: f64,
    /// The peer's name.
    pub peer: &'static str,
    /// What the peer took.
    pub peer_value: f64,
    /// How many samples each value is the lower quartile of.
    pub samples: usize,
}

impl Row {
    /// Returns how many times longer the peer takes: above 1, Covet is ahead.
    pub fn ratio(&self) -> f64 {
        self.peer_value / self.covet
    }
}

/// Returns the rows of one case: each contender but the first, which is Covet, beside it.
pub fn rows(
    case: &str,
    unit: &'static str,
    names: &[&'static str],
    values: &[f64],
    samples: usize,
) -> Vec<Row> {
    names
        .iter()
        .zip(values)
        .skip(1)
        .map(|(&peer, &peer_value)| Row {
            case: case.to_owned(),
            unit,
            covet: values[0],
            peer,
            peer_value,
            samples,
        })
        .collect()
}

/// Prints the rows of one case. A peer called `floor` is no queue but what the machine allows.
pub fn print_case(rows: &[Row]) {
    let Some(first) = rows.first() else { return };
    println!("\n{}", first.case);
    println!("  {:28} {:10.2} {}", "covet", first.covet, first.unit);
    for row in rows {
        let is_peer = !row.peer.starts_with("floor");
        let mark = if is_peer && row.ratio() < 1.0 {
            "  behind"
        } else {
            ""
        };
        println!(
            "  {:28} {:10.2} {}  {:8.2} x{mark}",
            row.peer,
            row.peer_value,
            row.unit,
            row.ratio()
        );
    }
}

/// Writes all rows as a JSON list.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write_json(area: &str, rows: &[Row], file: &Path) -> io::Result<()> {
    let round = |value: f64| (value * 1e4).round() / 1e4;
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "area": area,
                "case": row.case,
                "unit": row.unit,
                "covet": round(row.covet),
                "peer": row.peer,
                "peer_value": round(row.peer_value),
                "ratio": round(row.ratio()),
                "samples": row.samples,
            })
        })
        .collect();
    fs::write(file, format!("{:#}\n", Value::from(rows)))
}
