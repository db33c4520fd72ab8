//! `PoolExecutor` of covet_py beside the executors of the standard library, from Python.

use covet_benches::measure::lower_quartile;

use crate::Bench;
use crate::child::{Worker, together};

/// The executors, as `tasks.py` names them, and as the table does. Ours first.
const KINDS: [(&str, &str); 4] = [
    ("PoolExecutor", "covet"),
    ("ThreadPoolExecutor", "threads"),
    ("ProcessPoolExecutor", "processes (forkserver)"),
    ("InterpreterPoolExecutor", "interpreters"),
];

/// What `costs` in `tasks.py` measures, in its order: a case, its unit, the most that it should take, and how many times as long
/// the others should take at least, in the order of `KINDS`.
type Goal = (&'static str, &'static str, f64, [f64; 3]);
const COSTS: [Goal; 6] = [
    ("first result, 1 worker", "ms", 25.0, [0.0; 3]),
    ("call f(int)", "us", 0.35, [60.0, 500.0, 250.0]),
    ("call f(dict of 10 floats)", "us", 2.5, [0.0, 0.0, 60.0]),
    ("call f(list of 1000 ints)", "us", 40.0, [0.0; 3]),
    (
        "submit f(int), result",
        "us",
        f64::INFINITY,
        [3.0, 0.0, 15.0],
    ),
    ("map f(int), per item", "us", 0.25, [0.0, 12.0, 300.0]),
];

pub(crate) fn executors(bench: &mut Bench) {
    let rounds = bench.rounds.min(5);
    let found: Vec<_> = kinds()
        .map(|(kind, name)| {
            let calls = if kind == "PoolExecutor" {
                "20000"
            } else {
                "2000"
            };
            (name, quartiles(bench, rounds, &["costs", kind, calls]))
        })
        .collect();
    for (i, (case, unit, most, least)) in COSTS.into_iter().enumerate() {
        let times: Vec<_> = found.iter().map(|(name, all)| (*name, all[i])).collect();
        let ours = times[0].1;
        bench.case(case, unit, ours, &times[1..]);
        if most.is_finite() {
            bench.reach(&format!("{case}, {unit}"), ours, most);
        }
        for (&(name, theirs), least) in times[1..].iter().zip(least) {
            if least > 0.0 {
                bench.reach(
                    &format!("{case}: part of {name}"),
                    ours / theirs,
                    1.0 / least,
                );
            }
        }
    }
    called_by_two(bench);
    uneven(bench);
    growth(bench);
}

fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    let has_interpreters = covet_interp::ffi::VERSION >= (3, 14);
    KINDS
        .into_iter()
        .filter(move |&(_, name)| name != "interpreters" || has_interpreters)
}

/// The lower quartile of each number that a child answers.
fn quartiles(bench: &Bench, rounds: usize, words: &[&str]) -> Vec<f64> {
    let once = |_| {
        let mut worker = Worker::python(&bench.python, words);
        together(std::slice::from_mut(&mut worker)).1.remove(0)
    };
    let answers: Vec<_> = (0..rounds).map(once).collect();
    (0..answers[0].len())
        .map(|i| lower_quartile(answers.iter().map(|all| all[i]).collect()))
        .collect()
}

/// Two threads that call what only computes, beside two processes that do the same.
fn called_by_two(bench: &mut Bench) {
    const TIMES: &str = "100";
    const SIZE: &str = "100000";
    let rounds = bench.rounds.min(5);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut one = [Worker::python(
            &bench.python,
            &["called_by_two", TIMES, SIZE],
        )];
        let (_, answers) = together(&mut one);
        let work = || Worker::python(&bench.python, &["work", TIMES, SIZE]);
        let (time, answers_of_two) = together(&mut [work(), work()]);
        assert_eq!(
            [answers[0][1]; 2],
            [answers_of_two[0][0], answers_of_two[1][0]]
        );
        ours.push(answers[0][0]);
        theirs.push(time.as_secs_f64() * 1e3);
    }
    let (ours, theirs) = (lower_quartile(ours), lower_quartile(theirs));
    bench.case(
        "call from 2 threads, CPU-bound",
        "ms",
        ours,
        &[("2 processes", theirs)],
    );
    bench.reach(
        "call from 2 threads / 2 processes",
        ours / theirs,
        1.0 / 0.97,
    );
}

fn uneven(bench: &mut Bench) {
    let rounds = bench.rounds.min(5);
    let times: Vec<_> = kinds()
        .filter(|(kind, _)| *kind != "ThreadPoolExecutor")
        .map(|(kind, name)| (name, quartiles(bench, rounds, &["uneven", kind, "2000"])[0]))
        .collect();
    let ours = times[0].1;
    bench.case(
        "map of uneven tasks, 2 workers / ideal",
        "x",
        ours,
        &times[1..],
    );
    bench.reach("map of uneven tasks / ideal", ours, 1.05);
}

fn growth(bench: &mut Bench) {
    let tasks = if bench.rounds > 3 {
        "1000000"
    } else {
        "100000"
    };
    let bytes = quartiles(bench, 1, &["growth", tasks])[0];
    bench.case("growth of the process in 1000 tasks", "B", bytes, &[]);
    bench.reach("growth in 1000 tasks, bytes", bytes, 1024.0);
}
