//! What an interpreter costs: time to make it, memory while it lives, what its end leaves behind.

use std::fs;
use std::time::Instant;

use covet_benches::measure::lower_quartile;
use covet_interp::{Function, Pool, Value};

use crate::child::{Worker, together};
use crate::{Bench, on_big_stack};

/// From nothing to interpreters that can be entered.
pub(crate) fn ready(bench: &mut Bench) {
    let executors = bench.executors();
    drop(bench.pool(1));
    let [mut one, mut two, mut process] = [const { Vec::new() }; 3];
    for _ in 0..bench.rounds {
        for (workers, into) in [(1, &mut one), (2, &mut two)] {
            let begin = Instant::now();
            let pool = bench.pool(workers);
            on_big_stack(|| enter_all(&pool));
            into.push(begin.elapsed().as_secs_f64() * 1e3);
            pool.close();
            pool.wait_ended(None);
        }
        let begin = Instant::now();
        let worker = Worker::python(&bench.python, &["imported"]);
        process.push(begin.elapsed().as_secs_f64() * 1e3);
        drop(worker);
    }
    let [one, two, process] = [one, two, process].map(lower_quartile);
    let mut peers = vec![("a bare process", process)];
    peers.extend(
        executors
            .iter()
            .map(|other| (other.first_result(), other.first)),
    );
    bench.case("worker ready, bare", "ms", one, &peers);
    bench.case(
        "2 workers ready, made together",
        "ms",
        two,
        &[("floor: one", one)],
    );
    bench.reach("worker ready, ms", one, 12.0);
    bench.reach("2 together / one", two / one, 1.3);
}

/// Returns once every worker is ready: entered one inside the other, each is another interpreter.
fn enter_all(pool: &Pool) {
    fn enter(pool: &Pool, more: usize) {
        if more > 0 {
            let _here = pool.enter().expect("an interpreter");
            enter(pool, more - 1);
        }
    }
    enter(pool, pool.workers());
}

/// Kilobytes of this or another process: resident, and its proportional share.
fn memory(process: &str) -> [f64; 2] {
    let file = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("reading {file}: {error}"));
    ["Rss:", "Pss:"].map(|name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        number
            .and_then(|number| number.parse().ok())
            .expect("a number of kB")
    })
}

const TOGETHER: usize = 4;

/// The work of a child that is told `memory MODULE ...`: kilobytes that each further worker adds, resident and proportional.
pub(crate) fn memory_as_child(bench: &Bench, modules: &[&str]) -> String {
    let make = |workers| -> Pool {
        let builder = Pool::builder().workers(workers);
        let builder = modules
            .iter()
            .fold(builder, |builder, module| builder.preload(module));
        let pool = builder.build(&bench.runtime()).expect("a pool");
        on_big_stack(|| enter_all(&pool));
        pool
    };
    // What only the first one brings is not counted, nor are a program's first threads.
    let first = make(2);
    let before = memory("self");
    let pool = make(TOGETHER);
    let after = memory("self");
    drop((first, pool));
    let [rss, pss] = [0, 1].map(|i| (after[i] - before[i]) / TOGETHER as f64);
    format!("{rss} {pss}")
}

pub(crate) fn of_memory(bench: &mut Bench) {
    for (what, modules, reach) in [
        ("bare", &[][..], 2.6),
        ("with asyncio", &["asyncio"][..], 9.8),
    ] {
        // Covet, workers of an executor that spawns, and bare processes; resident and proportional in MB.
        let mut found = [const { [const { Vec::new() }; 2] }; 3];
        let mut note = |who: usize, kilobytes: [f64; 2]| {
            for (kind, kilobytes) in kilobytes.into_iter().enumerate() {
                found[who][kind].push(kilobytes / 1e3);
            }
        };
        for _ in 0..bench.rounds.min(5) {
            let alone = |mut worker| together(std::slice::from_mut(&mut worker)).1.remove(0);
            let words: Vec<_> = ["memory"].iter().chain(modules).copied().collect();
            let answer = alone(Worker::own(&words.join(" ")));
            note(0, [answer[0], answer[1]]);
            let count = TOGETHER.to_string();
            let words: Vec<_> = ["spawned", &count].iter().chain(modules).copied().collect();
            let answer = alone(Worker::python(&bench.python, &words));
            note(1, [answer[0], answer[1]]);
            let words: Vec<_> = ["imported"].iter().chain(modules).copied().collect();
            let process = |_| Worker::python(&bench.python, &words);
            let processes: Vec<_> = (0..TOGETHER).map(process).collect();
            for process in &processes {
                note(2, memory(&process.id().to_string()));
            }
        }
        let [ours, spawned, processes] = found.map(|kinds| kinds.map(lower_quartile));
        for (kind, name) in ["RSS", "PSS"].into_iter().enumerate() {
            bench.case(
                &format!("memory per worker, {what}, {name}"),
                "MB",
                ours[kind],
                &[
                    ("one of 4 spawned workers", spawned[kind]),
                    ("one of 4 bare processes", processes[kind]),
                ],
            );
        }
        bench.reach(
            &format!("memory per worker, {what}, RSS in MB"),
            ours[0],
            reach,
        );
        bench.reach(
            &format!("PSS / that of a spawned worker, {what}"),
            ours[1] / spawned[1],
            1.0 / 2.5,
        );
    }
}

/// The work of a child that is told `lives COUNT`: kilobytes that each pool of one worker leaves behind.
pub(crate) fn lives_as_child(bench: &Bench, count: usize) -> f64 {
    let live = || {
        let pool = bench.pool(1);
        let task = pool.submit(Function::reference("tasks", "same"), &[1.into()]);
        assert_eq!(task.expect("it is open").result(), Ok(Value::Int(1)));
        pool.close();
        assert!(pool.wait_ended(None));
    };
    for _ in 0..count / 10 {
        live();
    }
    let [before, _] = memory("self");
    for _ in 0..count {
        live();
    }
    (memory("self")[0] - before) / count as f64
}

pub(crate) fn lives(bench: &mut Bench) {
    let own_end = covet_interp::ffi::VERSION >= (3, 14);
    // Before 3.14 each life leaves megabytes of CPython's behind: enough to see that, no more.
    let count = if own_end { bench.lives } else { 30 }.to_string();
    let mut ours = Worker::own(&format!("lives {count}"));
    let mut theirs = Worker::python(&bench.python, &["lives", &count]);
    let ours = together(std::slice::from_mut(&mut ours)).1[0][0];
    let theirs = together(std::slice::from_mut(&mut theirs)).1[0][0];
    let case = format!("left behind by a life, over {count}");
    bench.case(&case, "kB", ours, &[("floor: CPython alone", theirs)]);
    if own_end {
        bench.reach("left behind by a life, kB", ours, 2.0);
    }
}
