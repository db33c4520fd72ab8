//! The demo's chart: bars of seconds, and of the time of one blocking call.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;

use crate::error::{Context, Result};
use crate::report::Report;

const WIDTH: i32 = 900;
const LABELS: i32 = 330;
const BARS: i32 = 420;
const BAR: i32 = 22;
const TITLE: i32 = 70;
const FOOT: i32 = 50;

const OURS: RGBColor = RGBColor(0xd9, 0x5f, 0x02);
const PEERS: RGBColor = RGBColor(0x6b, 0x7b, 0x8c);
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);

struct Bar<'a> {
    label: &'a str,
    value: f64,
    text: String,
    ours: bool,
}

/// Draws the report as an SVG file.
pub(crate) fn draw(report: &Report, path: &Path) -> Result<()> {
    let seconds = bars(report, "warm_seconds", |row, value| {
        format!(
            "{value:.2} s, {:.2}x",
            row["times_loop"].as_f64().unwrap_or_default()
        )
    });
    let micros = |_: &Value, value| format!("{value:.2} µs");
    let mut calls = bars(report, "submit_us", micros);
    let covet = bars(report, "call_us", micros)
        .into_iter()
        .filter(|bar| bar.ours);
    calls.extend(covet.map(|bar| Bar {
        label: "Covet call()",
        ..bar
    }));
    let height = 2 * TITLE + (seconds.len() + calls.len()) as i32 * (BAR + 6) + FOOT;
    let job = format!(
        "Parsing and measuring {} source files: seconds, less is better",
        report.files.len()
    );

    let area = SVGBackend::new(path, (WIDTH as u32, height as u32)).into_drawing_area();
    let drawn = || -> std::result::Result<(), DrawingAreaErrorKind<_>> {
        area.fill(&WHITE)?;
        let (top, bottom) = area.split_vertically(TITLE + seconds.len() as i32 * (BAR + 6));
        panel(&top, &job, &seconds)?;
        panel(
            &bottom,
            "One blocking call of a function that returns its argument: µs, less is better",
            &calls,
        )?;
        let where_measured = Text::new(
            report.place(),
            (20, height - FOOT / 2),
            text_style(12.0, HPos::Left),
        );
        area.draw(&where_measured)?;
        area.present()
    };
    drawn().context(|| format!("drawing {}", path.display()))
}

fn bars<'a>(report: &'a Report, field: &str, text: impl Fn(&Value, f64) -> String) -> Vec<Bar<'a>> {
    let rows = report.rows.iter();
    rows.filter_map(|row| {
        let value = row[field].as_f64()?;
        Some(Bar {
            label: row["label"].as_str().unwrap_or_default().trim(),
            value,
            text: text(row, value),
            ours: row["ours"] == true,
        })
    })
    .collect()
}

fn panel<DB: DrawingBackend>(
    area: &DrawingArea<DB, plotters::coord::Shift>,
    title: &str,
    bars: &[Bar<'_>],
) -> std::result::Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
    area.draw(&Text::new(
        title.to_owned(),
        (20, 40),
        text_style(18.0, HPos::Left),
    ))?;
    let longest = bars
        .iter()
        .map(|bar| bar.value)
        .fold(f64::MIN_POSITIVE, f64::max);
    for (index, bar) in bars.iter().enumerate() {
        let top = TITLE + index as i32 * (BAR + 6);
        let middle = top + BAR / 2;
        let end = LABELS + ((bar.value / longest * f64::from(BARS)) as i32).max(2);
        let color = if bar.ours { OURS } else { PEERS };
        area.draw(&Text::new(
            bar.label.to_owned(),
            (LABELS - 10, middle),
            text_style(14.0, HPos::Right),
        ))?;
        area.draw(&Rectangle::new(
            [(LABELS, top), (end, top + BAR)],
            color.filled(),
        ))?;
        area.draw(&Text::new(
            bar.text.clone(),
            (end + 8, middle),
            text_style(14.0, HPos::Left),
        ))?;
    }
    Ok(())
}

fn text_style(size: f64, side: HPos) -> TextStyle<'static> {
    // The SVG backend writes a font size smaller by this factor.
    let font = ("sans-serif", size * 1.24).into_font();
    font.color(&INK).pos(Pos::new(side, VPos::Center))
}
