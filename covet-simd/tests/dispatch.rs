//! Which set runs, and what `COVET_SIMD` does: each in a process of its own, as the variable is read once.

use std::process::{Command, Output};

use covet_simd::Error;
use covet_simd::dispatch::{self, Level};

/// Runs the test `child` of this program with the variable set.
fn run_child(value: &str) -> Output {
    let program = std::env::current_exe().expect("a test program has a path");
    Command::new(program)
        .args(["child", "--exact", "--nocapture"])
        .env("COVET_SIMD", value)
        .output()
        .expect("it has just run")
}

/// What the others run with the variable set.
#[test]
fn child() {
    println!(
        "asked: {}",
        dispatch::from_environment().map_or_else(|error| error.to_string(), |l| l.to_string())
    );
    println!("sum: {}", covet_simd::sum(&[1.5_f32; 100]));
    println!("runs: {}", dispatch::level());
}

#[test]
fn each_set_can_be_asked_for() {
    for level in Level::available() {
        let output = run_child(level.name());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.contains(&format!("asked: {level}\nsum: 150\nruns: {level}\n")),
            "{text}"
        );
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn nothing_asked_for_is_the_best() {
    let text = String::from_utf8_lossy(&run_child("").stdout).into_owned();
    assert!(text.contains(&format!("runs: {}", Level::best())), "{text}");
}

#[test]
fn an_unknown_name_is_told_once_and_the_best_runs() {
    let output = run_child("sse9");
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let error = "expected COVET_SIMD to be scalar, avx2 or avx512; found `sse9`";
    assert!(
        text.contains(&format!(
            "asked: {error}\nsum: 150\nruns: {}\n",
            Level::best()
        )),
        "{text}"
    );
    assert_eq!(
        errors,
        format!("covet-simd: {error}; using {}\n", Level::best())
    );
}

#[test]
fn sets_are_ordered_and_named() {
    assert!(Level::Scalar < Level::Avx2 && Level::Avx2 < Level::Avx512);
    for level in Level::ALL {
        assert_eq!(level.name().parse(), Ok(*level));
    }
    assert_eq!(
        "AVX2".parse::<Level>(),
        Err(Error::UnknownLevel("AVX2".to_owned()))
    );
    assert_eq!(Level::available().last(), Some(Level::best()));
}

#[test]
fn a_forced_set_runs_until_the_guard_is_dropped() {
    let before = dispatch::level();
    for level in Level::available() {
        let forced = dispatch::force(level).expect("available");
        assert_eq!(dispatch::level(), level);
        drop(forced);
    }
    assert_eq!(dispatch::level(), before);
    for &level in Level::ALL.iter().filter(|&&level| level > Level::best()) {
        let refused = dispatch::force(level).expect_err("not there");
        assert_eq!(
            refused,
            Error::UnavailableLevel {
                asked: level,
                best: Level::best()
            }
        );
    }
}
