//! What is taken away from the crate, one at a time, and which model notices.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::planted;

/// Each ordering, fence and step that has a name in the source, and a model that must fail without it.
const WEAKENINGS: &[(&str, &str)] = &[
    ("event count: notifier's fence", "wait::ping_pong"),
    ("event count: notifier's fence", "spsc::blocking_quarter"),
    ("event count: notifier's fence", "mpmc::blocking_quarter"),
    ("event count: waiter's fence", "wait::ping_pong"),
    ("event count: waiter's fence", "spsc::blocking_quarter"),
    ("event count: waiter's fence", "mpmc::blocking_quarter"),
    ("event count: early leaver passes on", "wait::notify_one"),
    ("event count: notifier's fence", "future::ping_pong"),
    ("event count: task's fence", "future::ping_pong"),
    ("event count: task's fence", "future::spsc_stream"),
    ("event count: task's fence", "future::spsc_send_closed"),
    ("event count: task's new waker", "future::new_waker"),
    (
        "event count: task is told of little",
        "future::spsc_quarter",
    ),
    ("event count: leaving task passes on", "future::cancelled"),
    (
        "event count: leaving task passes on",
        "future::cancelled_before_a_thread",
    ),
    ("spsc: push publishes", "spsc::fifo"),
    ("spsc: pop sees tail", "spsc::fifo"),
    ("spsc: pop frees", "spsc::fifo"),
    ("spsc: push sees head", "spsc::fifo"),
    ("spsc: producer closes", "spsc::producer_closes"),
    ("spsc: pop sees close", "spsc::producer_closes"),
    ("spsc: consumer closes", "spsc::consumer_closes"),
    ("spsc: push sees close", "spsc::consumer_drops"),
    ("spsc: closing fence", "spsc::consumer_closes"),
    ("spsc: consumer decides", "spsc::consumer_closes"),
    ("spsc: push decides", "spsc::consumer_closes_bare"),
    ("spsc: push sees end", "spsc::consumer_closes"),
    ("spsc: claim's fence", "spsc::claim_against_close"),
    ("spsc: claim ends", "spsc::claim_against_close"),
    ("spsc: close sees claim", "spsc::claim_against_close"),
    ("mpmc: push publishes", "mpmc::fifo"),
    ("mpmc: pop sees slot", "mpmc::fifo"),
    ("mpmc: pop frees", "mpmc::fifo"),
    ("mpmc: push sees slot", "mpmc::fifo"),
    ("mpmc: skip frees", "mpmc::skip_is_freed"),
    ("mpsc: pop frees", "mpsc::fifo"),
    ("mpsc: push sees head", "mpsc::fifo"),
    ("mpsc: push tells head", "mpsc::head_is_told"),
    ("mpsc: push is told head", "mpsc::head_is_told"),
    ("mpsc: abort sees head", "mpsc::leak_behind_a_batch"),
    ("mpmc: close", "mpmc::closed_pop"),
    ("mpmc: push sees close", "mpmc::closed_push"),
    ("mpmc: pop sees close", "mpmc::closed_pop"),
    ("mpmc: woken pop passes on", "mpmc::blocking_pop"),
    ("mpmc: woken pop passes on", "future::mpmc_recv"),
    ("mpmc: last pop tells the others", "mpmc::blocking_close"),
    ("mpmc: last pop tells the others", "future::mpmc_close"),
    ("mpmc: woken push passes on", "mpmc::blocking_push"),
    ("mpmc: woken push passes on", "future::mpmc_send"),
    ("bytes: commit publishes", "bytes::one_wrap"),
    ("bytes: padding publishes", "bytes::one_wrap"),
    ("bytes: read sees length", "bytes::one_wrap"),
    ("bytes: read frees", "bytes::one_wrap"),
    ("bytes: claim sees head", "bytes::one_wrap"),
    ("bytes: claim's fence", "bytes::consumer_closes_one"),
    ("bytes: closing fence", "bytes::producer_closes"),
    ("bytes: close ends", "bytes::closed_read_bare"),
    ("bytes: close begins", "bytes::closed_claim"),
    ("bytes: claim sees close", "bytes::closed_claim"),
    ("bytes: read sees close", "bytes::closed_read"),
];

#[test]
fn every_weakening_is_rejected() {
    let mut unnoticed = Vec::new();
    for &(name, model) in WEAKENINGS {
        match rejected(name, model) {
            Ok(reason) => println!("{name}: rejected by {model}: {reason:.60}"),
            Err(why) => unnoticed.push(format!("{name}: {model} {why}")),
        }
    }
    println!(
        "{} of {} weakenings rejected",
        WEAKENINGS.len() - unnoticed.len(),
        WEAKENINGS.len()
    );
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}

/// Runs `model` with `name` taken away. Returns what made it fail, or why that is no rejection.
fn rejected(name: &str, model: &str) -> Result<String, &'static str> {
    let run = planted::run(model, name);
    if run.status.success() {
        let ran = String::from_utf8_lossy(&run.stdout).contains("1 passed");
        return Err(if ran { "passes" } else { "does not exist" });
    }
    let report = String::from_utf8_lossy(&run.stderr);
    let mut lines = report.lines();
    if !lines.any(|line| line.contains("panicked at")) {
        return Err("ended without a word");
    }
    let reason = lines.next().unwrap_or_default();
    if reason.contains("maximum number of branches") {
        return Err("only ran for too long");
    }
    Ok(reason.into())
}

/// The list above and the names in the source are the same, and no ordering goes without a name.
#[test]
fn every_ordering_has_a_weakening() {
    let mut files = Vec::new();
    find_sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let mut named = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for (place, _) in text.match_indices("!(") {
            let called = ["acquire", "release", "step"];
            if !called.iter().any(|name| text[..place].ends_with(name)) {
                continue;
            }
            let name = text[place + 2..].trim_start().strip_prefix('"');
            let name = name.and_then(|rest| rest.split('"').next());
            let name = name.unwrap_or_else(|| panic!("an ordering in {file:?} has no name"));
            named.insert(name.to_owned());
        }
        for strong in ["Acquire", "Release", "AcqRel", "SeqCst"] {
            let bare = code(&text).any(|line| line.contains(&format!("Ordering::{strong}")));
            assert!(!bare, "{file:?} has an Ordering::{strong} without a name");
        }
    }
    let listed = WEAKENINGS.iter().map(|(name, _)| name.to_string());
    let listed: BTreeSet<String> = listed.collect();
    assert_eq!(
        named, listed,
        "the names in the source and those listed here"
    );
}

/// Collects all source files but those of `sync`, where the names become orderings.
fn find_sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_stem().is_some_and(|name| name == "sync") {
            continue;
        }
        if path.is_dir() {
            find_sources(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// The lines that are not comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}
