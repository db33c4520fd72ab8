//! What a call costs: borrowed, dispatched, drained from a batch; and two at once.

use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use covet_benches::measure::lower_quartile;
use covet_interp::{Block, Function, Pool, Value};

use crate::child::{Worker, together};
use crate::{Bench, on_big_stack, pin};

fn same() -> std::sync::Arc<Function> {
    Function::reference("tasks", "same")
}

/// Enters, calls and leaves for some time; returns nanoseconds per call.
fn borrow_for(pool: &Pool, time: Duration) -> f64 {
    let same = same();
    assert_eq!(pool.call(&same, &[7.into()]), Ok(Value::Int(7)));
    let begin = Instant::now();
    let mut calls = 0;
    while begin.elapsed() < time {
        for n in calls..calls + 1000 {
            assert_eq!(pool.call(&same, &[n.into()]), Ok(Value::Int(n)));
        }
        calls += 1000;
    }
    begin.elapsed().as_nanos() as f64 / calls as f64
}

/// The work of `--child borrow MILLISECONDS`.
pub(crate) fn borrow_as_child(bench: &Bench, milliseconds: u64, wait: impl FnOnce() + Send) -> f64 {
    let pool = bench.pool(1);
    on_big_stack(|| {
        borrow_for(&pool, Duration::from_millis(1));
        wait();
        borrow_for(&pool, Duration::from_millis(milliseconds))
    })
}

/// Nanoseconds per call of all together, when each takes this.
fn combined(each: &[f64]) -> f64 {
    1.0 / each.iter().map(|nanos| 1.0 / nanos).sum::<f64>()
}

pub(crate) fn borrowed(bench: &mut Bench) {
    let pools = [bench.pool(1), bench.pool(2)];
    let time = bench.sample;
    let milliseconds = time.as_millis().to_string();
    let [mut one, mut floor, mut two, mut process, mut processes] = [const { Vec::new() }; 5];
    for _ in 0..bench.rounds {
        let threads = |pool: &Pool, count: usize| {
            let meet = Barrier::new(count);
            let each: Vec<f64> = thread::scope(|scope| {
                let begin = |_| {
                    let work = || {
                        borrow_for(pool, Duration::from_millis(1));
                        meet.wait();
                        borrow_for(pool, time)
                    };
                    let big = thread::Builder::new().stack_size(16 << 20);
                    big.spawn_scoped(scope, work).expect("a thread")
                };
                let threads: Vec<_> = (0..count).map(begin).collect();
                threads
                    .into_iter()
                    .map(|t| t.join().expect("no panic"))
                    .collect()
            });
            combined(&each)
        };
        one.push(threads(&pools[0], 1));
        two.push(threads(&pools[1], 2));
        floor.push(on_big_stack(|| stay_for(&pools[0], time)));
        for (count, into) in [(1, &mut process), (2, &mut processes)] {
            let mut children: Vec<_> = (0..count)
                .map(|_| Worker::own(&["borrow", &milliseconds]))
                .collect();
            let (_, answers) = together(&mut children);
            into.push(combined(&answers.concat()));
        }
    }
    let [one, floor, two, process, processes] =
        [one, floor, two, process, processes].map(lower_quartile);
    bench.row(
        "borrowed call of f(int): enter, call, leave",
        "ns",
        one,
        &[("floor: call only, inside", floor)],
    );
    bench.reach("borrowed call, ns", one, 300.0);
    bench.row(
        "borrowed calls on 2 threads, per call of both",
        "ns",
        two,
        &[
            ("one thread", one),
            ("floor: 2 processes", processes),
            ("floor: one process", process),
        ],
    );
    println!(
        "  2 threads do {:.2} times the work of one; 2 processes {:.2} times",
        one / two,
        process / processes
    );
    bench.reach("1 / speed-up by a second thread", two / one, 1.0 / 1.95);
}

/// As [`borrow_for`], but stays inside.
fn stay_for(pool: &Pool, time: Duration) -> f64 {
    let same = same();
    let mut here = pool.enter().expect("an interpreter");
    let mut buffer = Vec::new();
    let begin = Instant::now();
    let mut calls = 0_i64;
    while begin.elapsed() < time {
        for n in calls..calls + 1000 {
            buffer.clear();
            write_int(&mut buffer, n);
            here.call(&same, &mut buffer).expect("it does not raise");
            assert_eq!(buffer[2..], n.to_ne_bytes());
        }
        calls += 1000;
    }
    begin.elapsed().as_nanos() as f64 / calls as f64
}

/// The message of one positional argument: direct, one argument, none by name, an int.
fn write_int(out: &mut Vec<u8>, n: i64) {
    out.push(1);
    out.extend_from_slice(&1u32.to_ne_bytes());
    out.extend_from_slice(&0u32.to_ne_bytes());
    out.push(3);
    out.extend_from_slice(&n.to_ne_bytes());
}

/// What Python's own executors take in the same minute: microseconds of a call, and of a task of a map.
fn executors(bench: &Bench) -> Vec<(&'static str, f64, f64)> {
    let mut kinds = vec!["ThreadPoolExecutor", "ProcessPoolExecutor"];
    if covet_interp::ffi::VERSION >= (3, 14) {
        kinds.push("InterpreterPoolExecutor");
    }
    let measure = |kind| {
        let rounds = 0..bench.rounds.min(3);
        let answers: Vec<_> = rounds
            .map(|_| {
                let mut worker = Worker::python(&bench.python, &["executor", kind, "1000"]);
                together(std::slice::from_mut(&mut worker)).1.remove(0)
            })
            .collect();
        let part = |i: usize| lower_quartile(answers.iter().map(|both| both[i]).collect());
        (kind, part(0), part(1))
    };
    kinds.into_iter().map(measure).collect()
}

pub(crate) fn dispatched(bench: &mut Bench) {
    let executors = executors(bench);
    let cores = bench.cores.clone();
    let mut placements = vec![("anywhere", None)];
    if let [first, second, ..] = cores[..] {
        placements.push(("same core", Some((first, first))));
        placements.push(("across cores", Some((first, second))));
    }
    for (place, at) in placements {
        let calls = 2000;
        let [mut task, mut floor] = [const { Vec::new() }; 2];
        let pool = thread::scope(|scope| {
            let make = || {
                // The worker inherits where its maker may run.
                at.inspect(|&(_, worker)| pin(worker));
                bench.pool(1)
            };
            scope.spawn(make).join().expect("no panic")
        });
        for _ in 0..bench.rounds {
            let round = || {
                at.inspect(|&(caller, _)| pin(caller));
                let per_call =
                    |begin: Instant| begin.elapsed().as_secs_f64() * 1e6 / f64::from(calls);
                let same = same();
                let begin = Instant::now();
                for n in 0..calls {
                    let task = pool.submit(same.clone(), &[n.into()]).expect("it is open");
                    assert_eq!(task.result(), Ok(Value::Int(n.into())));
                }
                let task = per_call(begin);
                let (ask, asked) = mpsc::channel();
                let (reply, replies) = mpsc::channel();
                let echo = thread::spawn(move || {
                    at.inspect(|&(_, worker)| pin(worker));
                    asked
                        .iter()
                        .for_each(|n: i32| reply.send(n).expect("it listens"));
                });
                let begin = Instant::now();
                for n in 0..calls {
                    ask.send(n).expect("it listens");
                    assert_eq!(replies.recv(), Ok(n));
                }
                let floor = per_call(begin);
                drop(ask);
                echo.join().expect("no panic");
                (task, floor)
            };
            let (a, b) = thread::scope(|scope| scope.spawn(round).join().expect("no panic"));
            task.push(a);
            floor.push(b);
        }
        let [task, floor] = [task, floor].map(lower_quartile);
        let mut peers = vec![("floor: two std channels", floor)];
        if at.is_none() {
            peers.extend(executors.iter().map(|&(kind, call, _)| (kind, call)));
        }
        bench.row(
            &format!("dispatched blocking call, {place}"),
            "us",
            task,
            &peers,
        );
        bench.reach(&format!("dispatched call, {place}, us"), task, 8.0);
    }
    drained(bench, &executors);
}

fn drained(bench: &mut Bench, executors: &[(&'static str, f64, f64)]) {
    let pool = bench.pool(1);
    let items = 100_000_i64;
    let once = || {
        let batch = pool.batch(same(), None);
        let mut block = Block::default();
        for n in 0..items {
            write_int(block.buffer(), n);
            block.end_message();
        }
        let begin = Instant::now();
        pool.append(&batch, block).expect("it is open");
        pool.start(&batch, None).expect("it is open");
        let mut n = 0;
        while n < items {
            let chunk = batch
                .chunk(n as usize, None)
                .expect("it runs")
                .expect("there is more");
            for i in 0..chunk.len() {
                assert_eq!(
                    chunk.result(i).expect("it does not raise")[2..],
                    n.to_ne_bytes()
                );
                n += 1;
            }
        }
        begin.elapsed().as_nanos() as f64 / items as f64
    };
    once();
    let took = lower_quartile((0..bench.rounds).map(|_| once()).collect());
    let peers: Vec<_> = executors
        .iter()
        .map(|&(kind, _, task)| (kind, task * 1e3))
        .collect();
    bench.row("drained batch, one worker, per task", "ns", took, &peers);
    bench.reach("drained batch, per task, ns", took, 300.0);
}

/// Two workers beside two processes at work that only computes.
pub(crate) fn scaling(bench: &mut Bench) {
    let (times, size) = (bench.rounds.max(4) * 2, 300_000);
    let pool = bench.pool(2);
    let function = Function::reference("tasks", "count");
    let expected = pool
        .submit(function.clone(), &[size.into()])
        .expect("it is open")
        .result();
    let words = ["work", &times.to_string(), &size.to_string()];
    let [mut ours, mut one, mut theirs] = [const { Vec::new() }; 3];
    let per_task = |time: Duration, tasks: usize| time.as_secs_f64() * 1e3 / tasks as f64;
    for _ in 0..bench.rounds {
        let begin = Instant::now();
        let tasks: Vec<_> = (0..2 * times)
            .map(|_| {
                pool.submit(function.clone(), &[size.into()])
                    .expect("it is open")
            })
            .collect();
        assert!(tasks.iter().all(|task| task.result() == expected));
        ours.push(per_task(begin.elapsed(), 2 * times));
        for (count, into) in [(2, &mut theirs), (1, &mut one)] {
            let mut workers: Vec<_> = (0..count)
                .map(|_| Worker::python(&bench.python, &words))
                .collect();
            let (took, answers) = together(&mut workers);
            for answer in answers {
                assert_eq!(Ok(Value::Int(answer[0] as i64)), expected);
            }
            into.push(per_task(took, count * times));
        }
    }
    let [ours, theirs, one] = [ours, theirs, one].map(lower_quartile);
    bench.row(
        "CPU-bound, 2 workers, per task",
        "ms",
        ours,
        &[("2 processes", theirs), ("floor: one process", one)],
    );
    bench.reach("time / that of 2 processes", ours / theirs, 1.0 / 0.97);
}
