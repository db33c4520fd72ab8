//! What a task costs that an asyncio event loop waits for: `PoolExecutor.run` of covet_py beside `run_in_executor`.

use covet_benches::measure::lower_quartile;

use crate::Bench;
use crate::child::{Worker, together};

/// The ways to send a task, as `tasks.py` names them, and as the table does.
const WAYS: [(&str, &str); 4] = [
    ("run", "covet"),
    ("PoolExecutor", "run_in_executor, covet"),
    ("ThreadPoolExecutor", THREADS),
    ("InterpreterPoolExecutor", INTERPRETERS),
];
const THREADS: &str = "run_in_executor, threads";
const INTERPRETERS: &str = "run_in_executor, interpreters";

pub(crate) fn awaited(bench: &mut Bench) {
    let rounds = bench.rounds.min(5);
    let has_interpreters = covet_interp::ffi::VERSION >= (3, 14);
    let ways = WAYS
        .into_iter()
        .filter(|&(_, name)| name != INTERPRETERS || has_interpreters);
    let found: Vec<_> = ways
        .map(|(way, name)| {
            let once = |_| {
                let mut worker = Worker::python(&bench.python, &["awaited", way, "20000"]);
                together(std::slice::from_mut(&mut worker)).1.remove(0)
            };
            let answers: Vec<_> = (0..rounds).map(once).collect();
            let part = |i: usize| lower_quartile(answers.iter().map(|all| all[i]).collect());
            (name, [part(0), part(1)])
        })
        .collect();
    for (i, in_flight) in [1, 100].into_iter().enumerate() {
        let times: Vec<_> = found
            .iter()
            .map(|(name, times)| (*name, times[i]))
            .collect();
        let of = |wanted| {
            times
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|&(_, time)| time)
        };
        let ours = times[0].1;
        let case = format!("asyncio, {in_flight} in flight, per task");
        bench.case(&case, "us", ours, &times[1..]);
        let of_covet = times[1].1;
        if let Some(theirs) = of(INTERPRETERS) {
            let what = format!("run_in_executor / that of interpreters, {in_flight}");
            bench.reach(&what, of_covet / theirs, 1.0 / 3.0);
        }
        if in_flight == 1
            && let Some(threads) = of(THREADS)
        {
            bench.reach("run / run_in_executor with threads, 1", ours / threads, 0.5);
        } else {
            bench.reach("run, 100 in flight, us", ours, 6.0);
        }
    }
}
