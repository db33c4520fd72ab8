//! How soon a task stops that would run for ever.

use std::thread;
use std::time::{Duration, Instant};

use covet_interp::{Error, Task, TaskState, Value};

use crate::Bench;

/// From an interruption to the error of a loop that never ends; then the worker goes on.
pub(crate) fn stop(bench: &mut Bench) {
    let pool = bench.pool(1);
    pool.wait_ready(None).expect("an interpreter");
    let count = 20 * bench.rounds;
    let once = |number: usize| {
        let task = pool.submit_task(Task::source("while True: pass", &[]));
        let task = task.expect("it is open");
        while task.state() == TaskState::Queued {
            thread::yield_now();
        }
        // At every point of the interval after which a thread gives its GIL away (5 ms).
        thread::sleep(Duration::from_micros(1000 + 613 * number as u64 % 7000));
        let begin = Instant::now();
        task.interrupt();
        match task.result() {
            Err(Error::Python(error)) if error.kind == "KeyboardInterrupt" => {}
            other => panic!("expected a KeyboardInterrupt, found {other:?}"),
        }
        begin.elapsed().as_secs_f64() * 1e3
    };
    let mut times: Vec<f64> = (0..count).map(once).collect();
    times.sort_by(f64::total_cmp);
    let next = pool.submit_task(Task::source("result = 7", &[]));
    assert_eq!(next.expect("it is open").result(), Ok(Value::Int(7)));
    let stats = pool.stats();
    assert_eq!((stats.lives, stats.lost), (1, 0), "the worker is the same");
    let (median, late) = (times[count / 2], times[count * 95 / 100]);
    bench.case(
        "runaway loop stopped, median",
        "ms",
        median,
        &[("95 of 100 are within", late)],
    );
    bench.reach("runaway loop stopped, median in ms", median, 30.0);
}
