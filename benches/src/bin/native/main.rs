//! covet-native beside its peers. `cargo xtask bench native` runs this as it should be run.
//!
//! Heads of several kinds, each in 64 variants that take turns. What is compared says the same: method, target and all fields
//! are checked against those of httparse first. Covet's figures include the framing (Content-Length, Transfer-Encoding and
//! Host checked), which no other parser here reads but actix-http.
//!
//! Usage: `native [--quick] [--json FILE] [--own-session] [WORD]`; a word leaves only the cases that contain it.

mod payloads;
mod peers;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use covet_benches::measure::{Run, quartiles};
use covet_benches::options::Options;
use covet_benches::report::{Row, print_case, rows};

use payloads::{Payload, VARIANTS};
use peers::covet::{self, Buffer};

fn main() {
    let options = Options::from_command_line();
    options.measure("native", || {
        let payloads = payloads::all();
        for payload in &payloads {
            check(payload);
        }
        let mut all = Vec::new();
        for payload in &payloads {
            for (what, contenders) in [
                ("head", heads(payload)),
                ("owned request", owned(payload)),
                ("every field read", everything(payload)),
                ("4 of the fields", four_fields(payload)),
            ] {
                let case = format!("{what}: {}", payload.title());
                if options.wants(&case) {
                    all.extend(measure(&case, contenders, &options));
                }
            }
        }
        print_means(&all);
        all
    });
}

type Contender = (&'static str, Run);

fn measure(case: &str, contenders: Vec<Contender>, options: &Options) -> Vec<Row> {
    let (names, runs): (Vec<_>, Vec<_>) = contenders.into_iter().unzip();
    let values = quartiles(&runs, options.effort);
    let rows = rows(case, "ns", &names, &values, options.effort.rounds);
    print_case(&rows);
    rows
}

/// The geometric means of what was done to all payloads.
fn print_means(all: &[Row]) {
    println!("\ngeometric means");
    let mut seen = Vec::new();
    for row in all {
        let what = row.case.split(':').next().unwrap_or_default();
        if seen.contains(&(what, row.peer)) {
            continue;
        }
        seen.push((what, row.peer));
        let same = |other: &&Row| other.case.starts_with(what) && other.peer == row.peer;
        let ratios: Vec<f64> = all.iter().filter(same).map(Row::ratio).collect();
        let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        println!(
            "  {what:20} {:28} {mean:6.2} x, at least {least:.2} x",
            row.peer
        );
    }
}

/// All read the same out of each variant.
fn check(payload: &Payload) {
    for head in &payload.variants {
        let expected = peers::httparse(head, peers::httparse_said);
        assert_eq!(covet::parse(head, covet::said), expected);
        assert_eq!(
            covet::said(covet::own(&Buffer::from(&head[..])).head()),
            expected
        );
        assert_eq!(peers::pico(head, peers::pico_said), expected);
        let request = peers::hyper_like(&Bytes::copy_from_slice(head));
        assert_eq!(peers::hyper_said(&request), expected);
        assert_eq!(
            peers::ntex(head, |ntex| peers::ntex_said(head, ntex)),
            expected
        );
    }
}

/// Does `one` to each variant in turn.
fn turns<T: 'static, R>(variants: Vec<T>, one: impl Fn(&T) -> R + 'static) -> Run {
    assert_eq!(variants.len(), VARIANTS);
    Box::new(move |count| {
        let begin = Instant::now();
        for i in 0..count {
            black_box(one(black_box(&variants[i as usize % VARIANTS])));
        }
        begin.elapsed()
    })
}

fn heads(payload: &Payload) -> Vec<Contender> {
    let variants = || payload.variants.clone();
    vec![
        (
            "covet",
            turns(variants(), |head| {
                covet::parse(head, |request| black_box(&request).head_length())
            }),
        ),
        (
            "httparse",
            turns(variants(), |head| {
                peers::httparse(head, |request| black_box(request).headers.len())
            }),
        ),
        (
            "picohttpparser (SSE4.2)",
            turns(variants(), |head| {
                peers::pico(head, |pico| black_box(pico).count)
            }),
        ),
        (
            "ntex-httparse",
            turns(variants(), |head| {
                peers::ntex(head, |ntex| black_box(ntex).count)
            }),
        ),
    ]
}

fn owned(payload: &Payload) -> Vec<Contender> {
    let buffers = payload.variants.iter().map(|head| Buffer::from(&head[..]));
    let bytes = payload
        .variants
        .iter()
        .map(|head| Bytes::copy_from_slice(head));
    let mut contenders: Vec<Contender> = vec![
        ("covet", turns(buffers.collect(), covet::own)),
        (
            "HeaderMap and Uri (as hyper)",
            turns(bytes.collect(), peers::hyper_like),
        ),
    ];
    // It takes 96 fields at most, and waits for the body where one is announced.
    if ["least GET", "small GET", "browser"].contains(&payload.name) {
        let variants = payload.variants.clone();
        let run: Run = Box::new(move |count| -> Duration {
            // Its codec starts a task that keeps the date; it is never run here.
            let tasks = tokio::task::LocalSet::new();
            let _entered = tasks.enter();
            let mut codec = actix_http::h1::Codec::default();
            let begin = Instant::now();
            for i in 0..count {
                black_box(peers::actix(&mut codec, &variants[i as usize % VARIANTS]));
            }
            begin.elapsed()
        });
        contenders.push(("actix-http", run));
    }
    contenders
}

/// Parsing, and then a look at each byte of each name and value.
fn everything(payload: &Payload) -> Vec<Contender> {
    let buffers = payload.variants.iter().map(|head| Buffer::from(&head[..]));
    let bytes = payload
        .variants
        .iter()
        .map(|head| Bytes::copy_from_slice(head));
    vec![
        (
            "covet",
            turns(buffers.collect(), |head| {
                let request = covet::own(head);
                let fields = request.head().headers();
                fields
                    .iter()
                    .map(|field| sum(field.name().as_bytes()) ^ sum(field.value()))
                    .sum::<u64>()
            }),
        ),
        (
            "HeaderMap and Uri (as hyper)",
            turns(bytes.collect(), |head| {
                let request = peers::hyper_like(head);
                let fields = request.fields.iter();
                fields
                    .map(|(name, value)| sum(name.as_ref()) ^ sum(value.as_ref()))
                    .sum::<u64>()
            }),
        ),
    ]
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte)).sum()
}

/// Looking four names up, one of them not there; parsing is not part of it.
fn four_fields(payload: &Payload) -> Vec<Contender> {
    const NAMES: [&str; 4] = ["host", "accept-encoding", "content-type", "x-missing"];
    let buffers = payload
        .variants
        .iter()
        .map(|head| covet::own(&Buffer::from(&head[..])));
    let requests = payload
        .variants
        .iter()
        .map(|head| peers::hyper_like(&Bytes::copy_from_slice(head)));
    vec![
        (
            "covet",
            turns(buffers.collect(), |request| {
                let fields = request.head().headers();
                black_box(NAMES).map(|name| fields.get(name).map_or(0, <[u8]>::len))
            }),
        ),
        (
            "HeaderMap",
            turns(requests.collect(), |request| {
                let fields = &request.fields;
                black_box(NAMES).map(|name| fields.get(name).map_or(0, |value| value.len()))
            }),
        ),
    ]
}
