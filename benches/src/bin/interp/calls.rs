//! What a call costs: borrowed, dispatched, drained from a batch; and two at once.

use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use covet_benches::measure::lower_quartile;
use covet_interp::{Block, Function, Message, Pool, Strategy, Value};

use crate::child::{Worker, together};
use crate::floor::enter_call_leave;
use crate::{Bench, Executor, on_big_stack, pin};

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

/// The work of a child that is told `borrow MILLISECONDS`.
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
    let command = format!("borrow {}", time.as_millis());
    let [
        mut one,
        mut raw,
        mut inside,
        mut two,
        mut process,
        mut processes,
    ] = [const { Vec::new() }; 6];
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
        inside.push(on_big_stack(|| stay_for(&pools[0], time)));
        raw.extend(on_big_stack(|| enter_call_leave(time)));
        for (count, into) in [(1, &mut process), (2, &mut processes)] {
            let mut children: Vec<_> = (0..count).map(|_| Worker::own(&command)).collect();
            let (_, answers) = together(&mut children);
            into.push(combined(&answers.concat()));
        }
    }
    let floor = (!raw.is_empty()).then(|| ("floor: the C API alone", lower_quartile(raw)));
    let [one, inside, two, process, processes] =
        [one, inside, two, process, processes].map(lower_quartile);
    let mut peers = vec![("floor: call only, inside", inside)];
    peers.extend(floor);
    bench.case(
        "borrowed call of f(int): enter, call, leave",
        "ns",
        one,
        &peers,
    );
    bench.reach("borrowed call, ns", one, 300.0);
    bench.case(
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
    // Where two processes reach as much.
    let ceiling = (processes / process).max(1.0 / 1.95);
    bench.reach("1 / speed-up by a second thread", two / one, ceiling);
}

/// As [`borrow_for`], but stays inside.
fn stay_for(pool: &Pool, time: Duration) -> f64 {
    let same = same();
    let mut here = pool.enter().expect("an interpreter");
    let (mut sent, mut result) = (Message::new(), Message::new());
    let begin = Instant::now();
    let mut calls = 0_i64;
    while begin.elapsed() < time {
        for n in calls..calls + 1000 {
            sent.clear();
            result.clear();
            write_int(&mut sent, n);
            here.call(&same, &sent, &mut result)
                .expect("it does not raise");
            assert_eq!(Value::read(&result), Ok(Value::Int(n)));
        }
        calls += 1000;
    }
    begin.elapsed().as_nanos() as f64 / calls as f64
}

/// Appends the message of one positional argument.
fn write_int(out: &mut Message, n: i64) {
    Value::write_call(&[n.into()], out).expect("an int can be sent");
}

/// What one round of dispatched calls does between two calls.
#[derive(Clone, Copy)]
enum Pace {
    OneAfterTheOther,
    /// Whoever waits has gone to sleep by then.
    AfterRest,
}

/// Cores for the caller and the worker.
type Placement = Option<(usize, usize)>;

pub(crate) fn dispatched(bench: &mut Bench) {
    let executors = bench.executors();
    let mut cases = vec![("anywhere", None, Pace::OneAfterTheOther)];
    if let [first, second, ..] = bench.cores[..] {
        cases.extend([
            ("same core", Some((first, first)), Pace::OneAfterTheOther),
            (
                "across cores",
                Some((first, second)),
                Pace::OneAfterTheOther,
            ),
            (
                "across cores, after 2 ms of rest",
                Some((first, second)),
                Pace::AfterRest,
            ),
        ]);
    }
    for (place, at, pace) in cases {
        let (task, floor) = dispatch(bench, at, pace);
        let mut peers = vec![("floor: two std channels", floor)];
        if at.is_none() {
            peers.extend(executors.iter().map(|other| (other.kind, other.call)));
        }
        bench.case(
            &format!("dispatched blocking call, {place}"),
            "us",
            task,
            &peers,
        );
        if let Pace::OneAfterTheOther = pace {
            bench.reach(&format!("dispatched call, {place}, us"), task, 8.0);
        }
    }
    drained(bench, &executors);
}

/// Microseconds of a call that a worker runs, and of a word there and back through two channels.
fn dispatch(bench: &Bench, at: Placement, pace: Pace) -> (f64, f64) {
    let (calls, rest) = match pace {
        Pace::OneAfterTheOther => (2000, None),
        Pace::AfterRest => (50, Some(Duration::from_millis(2))),
    };
    let per_call = |call: &mut dyn FnMut(i32)| {
        let mut sum = Duration::ZERO;
        let begin = Instant::now();
        for n in 0..calls {
            match rest {
                None => call(n),
                Some(rest) => {
                    thread::sleep(rest);
                    let begin = Instant::now();
                    call(n);
                    sum += begin.elapsed();
                }
            }
        }
        let took = rest.map_or_else(|| begin.elapsed(), |_| sum);
        took.as_secs_f64() * 1e6 / f64::from(calls)
    };
    let pool = thread::scope(|scope| {
        let make = || {
            // The worker inherits where its maker may run.
            at.inspect(|&(_, worker)| pin(worker));
            bench.pool(1)
        };
        scope.spawn(make).join().expect("no panic")
    });
    let round = || {
        at.inspect(|&(caller, _)| pin(caller));
        let same = same();
        let task = per_call(&mut |n| {
            let task = pool.submit(same.clone(), &[n.into()]);
            let result = task.expect("it is open").result();
            assert_eq!(result, Ok(Value::Int(n.into())));
        });
        let (ask, asked) = mpsc::channel();
        let (reply, replies) = mpsc::channel();
        let echo = thread::spawn(move || {
            at.inspect(|&(_, worker)| pin(worker));
            asked
                .iter()
                .for_each(|n: i32| reply.send(n).expect("it listens"));
        });
        let floor = per_call(&mut |n| {
            ask.send(n).expect("it listens");
            assert_eq!(replies.recv(), Ok(n));
        });
        drop(ask);
        echo.join().expect("no panic");
        (task, floor)
    };
    let rounds = (0..bench.rounds)
        .map(|_| thread::scope(|scope| scope.spawn(round).join().expect("no panic")));
    let (task, floor) = rounds.unzip();
    (lower_quartile(task), lower_quartile(floor))
}

fn drained(bench: &mut Bench, executors: &[Executor]) {
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
                let message = chunk.result(i).expect("it does not raise");
                assert_eq!(Value::read(message), Ok(Value::Int(n)));
                n += 1;
            }
        }
        begin.elapsed().as_nanos() as f64 / items as f64
    };
    once();
    let took = lower_quartile((0..bench.rounds).map(|_| once()).collect());
    let peers: Vec<_> = executors
        .iter()
        .map(|other| (other.kind, other.mapped))
        .collect();
    bench.case("drained batch, one worker, per task", "ns", took, &peers);
    bench.reach("drained batch, per task, ns", took, 300.0);
}

/// What a task that only computes gets, and gives.
const SIZE: i64 = 300_000;

/// The work of a child that is told `compute TIMES SIZE`: the same in the main interpreter, as in any process.
pub(crate) fn compute_as_child(bench: &Bench, times: u64, size: u64, wait: impl FnOnce()) -> i64 {
    let main = Pool::builder().workers(1).strategy(Strategy::MainOnly);
    let main = main.build(&bench.runtime()).expect("a pool");
    let count = Function::reference("tasks", "count");
    let compute = || {
        let task = main.submit(count.clone(), &[(size as i64).into()]);
        match task.expect("it is open").result() {
            Ok(Value::Int(found)) => found,
            other => panic!("expected an int; found {other:?}"),
        }
    };
    let found = compute();
    wait();
    for _ in 0..times {
        assert_eq!(compute(), found);
    }
    found
}

/// Two workers beside two processes at work that only computes.
pub(crate) fn scaling(bench: &mut Bench) {
    let times = 20;
    let pool = bench.pool(2);
    let function = Function::reference("tasks", "count");
    let submit = || {
        let task = pool.submit(function.clone(), &[SIZE.into()]);
        task.expect("it is open")
    };
    pool.wait_ready(None).expect("workers");
    let expected = submit().result();
    let command = format!("compute {times} {SIZE}");
    let words = ["work", &times.to_string(), &SIZE.to_string()];
    let [mut ours, mut one, mut theirs, mut pythons] = [const { Vec::new() }; 4];
    let per_task = |time: Duration, tasks: usize| time.as_secs_f64() * 1e3 / tasks as f64;
    let measure = |mut workers: Vec<Worker>| {
        let (took, answers) = together(&mut workers);
        for answer in answers {
            assert_eq!(Ok(Value::Int(answer[0] as i64)), expected);
        }
        per_task(took, workers.len() * times)
    };
    for round in 0..bench.rounds {
        let mut pool_of_two = || {
            let begin = Instant::now();
            let tasks: Vec<_> = (0..2 * times).map(|_| submit()).collect();
            assert!(tasks.iter().all(|task| task.result() == expected));
            ours.push(per_task(begin.elapsed(), 2 * times));
        };
        let mut two_processes =
            || theirs.push(measure((0..2).map(|_| Worker::own(&command)).collect()));
        // Each goes first as often as the other: a machine that slows down meets both.
        if round % 2 == 0 {
            pool_of_two();
            two_processes();
        } else {
            two_processes();
            pool_of_two();
        }
        one.push(measure(vec![Worker::own(&command)]));
        let python = |_| Worker::python(&bench.python, &words);
        pythons.push(measure((0..2).map(python).collect()));
    }
    // Of one round, as the machine's pace changes from one to the next.
    let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs);
    let ratio = median(ratios.collect());
    let [ours, theirs, one, pythons] = [ours, theirs, one, pythons].map(lower_quartile);
    bench.case(
        "CPU-bound, 2 workers, per task",
        "ms",
        ours,
        &[
            ("2 processes, same library", theirs),
            ("floor: one process", one),
            ("2 processes, executable", pythons),
        ],
    );
    bench.reach("time / that of 2 processes, median", ratio, 1.0 / 0.97);
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
