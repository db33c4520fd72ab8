//! covet-interp beside processes, Python's own executors and the bare C API. `cargo xtask bench interp` runs this as it should
//! be run.
//!
//! Usage: `interp --python EXECUTABLE [--quick] [--json FILE] [--lives N] [--own-session] [WORD]`; a word leaves only the
//! groups of cases that contain it. `EXECUTABLE` is the Python that this program embeds, and can import covet_py: it runs
//! that and the executors to compare with. Every answer is checked, timed or not.
//!
//! A process to compare with is this program again, wherever speed counts: it embeds the same library. The executable of a
//! distribution is often built in another way (linked statically, say), and then computes up to a third faster.

mod calls;
mod child;
mod cost;
mod event_loop;
mod executors;
mod floor;
mod stop;
mod transport;
mod values;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use std::{io, thread};

use covet_benches::measure::lower_quartile;
use covet_benches::options::{Options, fail};
use covet_benches::report::{self, Row};
use covet_interp::{Function, Pool, Runtime, Strategy, Value};

use crate::child::{Worker, together};

/// What the cases share, and what they found.
struct Bench {
    python: PathBuf,
    rounds: usize,
    sample: Duration,
    lives: usize,
    /// Where this program may run.
    cores: Vec<usize>,
    executors: Option<Vec<Executor>>,
    rows: Vec<Row>,
    reaches: Vec<Reach>,
}

/// What one of Python's own executors takes, with one worker.
#[derive(Clone, Copy)]
struct Executor {
    kind: &'static str,
    /// Microseconds of a blocking call.
    call: f64,
    /// Nanoseconds of one task of a map.
    mapped: f64,
    /// Milliseconds until the first result.
    first: f64,
}

impl Executor {
    /// The peer that is its first result.
    fn first_result(&self) -> &'static str {
        match self.kind {
            "ThreadPoolExecutor" => "threads: first result",
            "ProcessPoolExecutor" => "processes: first result",
            _ => "interpreters: first result",
        }
    }
}

/// A goal: at most `most`.
struct Reach {
    what: String,
    found: f64,
    most: f64,
}

impl Bench {
    fn new(options: &Options) -> Self {
        let full = options.effort.rounds > 3;
        let lives = match options.value("--lives") {
            None if full => 1000,
            None => 100,
            Some(text) => match text.parse() {
                Ok(lives) if lives >= 10 => lives,
                _ => fail(&format!(
                    "--lives expects a number from 10 on; found `{text}`"
                )),
            },
        };
        Self {
            python: options.value("--python").unwrap_or_default().into(),
            rounds: options.effort.rounds,
            sample: 10 * options.effort.sample,
            lives,
            cores: cores(),
            executors: None,
            rows: Vec::new(),
            reaches: Vec::new(),
        }
    }

    /// The Python that `main` started.
    fn runtime(&self) -> Runtime {
        Runtime::join().expect("Python runs")
    }

    fn pool(&self, workers: usize) -> Pool {
        let pool = Pool::builder().workers(workers).build(&self.runtime());
        pool.expect("a pool")
    }

    /// What Python's own executors take, measured once.
    fn executors(&mut self) -> Vec<Executor> {
        if let Some(known) = &self.executors {
            return known.clone();
        }
        let mut kinds = vec!["ThreadPoolExecutor", "ProcessPoolExecutor"];
        if covet_interp::ffi::VERSION >= (3, 14) {
            kinds.push("InterpreterPoolExecutor");
        }
        let rounds = self.rounds.min(5);
        let measure = |kind| {
            let once = |_| {
                let mut worker = Worker::python(&self.python, &["executor", kind, "1000"]);
                together(std::slice::from_mut(&mut worker)).1.remove(0)
            };
            let answers: Vec<_> = (0..rounds).map(once).collect();
            let part = |i: usize| lower_quartile(answers.iter().map(|all| all[i]).collect());
            Executor {
                kind,
                call: part(0),
                mapped: part(1),
                first: part(2),
            }
        };
        let all: Vec<_> = kinds.into_iter().map(measure).collect();
        self.executors.insert(all).clone()
    }

    /// Prints and keeps a case: what Covet takes, and its peers. Each value is the lower quartile of its samples.
    fn case(&mut self, case: &str, unit: &'static str, covet: f64, peers: &[(&'static str, f64)]) {
        let names: Vec<_> = std::iter::once("covet")
            .chain(peers.iter().map(|&(name, _)| name))
            .collect();
        let values: Vec<_> = std::iter::once(covet)
            .chain(peers.iter().map(|&(_, value)| value))
            .collect();
        let rows = report::rows(case, unit, &names, &values, self.rounds);
        report::print_case(&rows);
        self.rows.extend(rows);
    }

    fn reach(&mut self, what: &str, found: f64, most: f64) {
        let what = what.to_owned();
        self.reaches.push(Reach { what, found, most });
    }
}

/// A group of cases, by the word that chooses it.
type Group = (&'static str, fn(&mut Bench));

const GROUPS: [Group; 11] = [
    ("borrowed", calls::borrowed),
    ("dispatched and drained", calls::dispatched),
    ("asyncio", event_loop::awaited),
    ("executors", executors::executors),
    ("transport", transport::transport),
    ("values", values::values),
    ("interrupted", stop::stop),
    ("scaling", calls::scaling),
    ("ready", cost::ready),
    ("memory", cost::of_memory),
    ("lives", cost::lives),
];

fn main() {
    let options = Options::from_command_line_with(&["--python", "--lives", "--child"]);
    let mut bench = Bench::new(&options);
    let child = options.value("--child");
    if child.is_none() && !bench.python.is_file() {
        fail("expected --python and the executable of the embedded Python");
    }
    let runtime = Runtime::embed().expect("Python starts");
    find_tasks(&runtime);
    if let Some(words) = child {
        be_child(&bench, &words.split(' ').collect::<Vec<_>>());
        return;
    }
    options.measure("interp", || {
        let (major, minor) = covet_interp::ffi::VERSION;
        println!(
            "Python {major}.{minor}, {:?}; lower quartile of {} rounds; x = how many times more than Covet",
            bench.pool(1).decision().strategy,
            bench.rounds
        );
        for (_, group) in GROUPS.iter().filter(|(name, _)| options.wants(name)) {
            group(&mut bench);
        }
        println!("\nto reach, at most");
        for Reach { what, found, most } in &bench.reaches {
            let verdict = if found <= most { "" } else { "  missed" };
            println!("  {what:44} {found:10.2}  ({most:.2}){verdict}");
        }
        std::mem::take(&mut bench.rows)
    });
}

/// Lets every interpreter made from now on import `tasks`.
fn find_tasks(runtime: &Runtime) {
    let main = Pool::builder().workers(1).strategy(Strategy::MainOnly);
    let main = main.build(runtime).expect("a pool");
    let source = format!("import sys; sys.path.insert(0, {:?})", child::FOLDER);
    let exec = Function::reference("builtins", "exec");
    let task = main.submit(exec, &[source.as_str().into()]);
    assert_eq!(task.expect("it is open").result(), Ok(Value::None));
}

/// One of the processes to compare with, or to measure alone.
fn be_child(bench: &Bench, words: &[&str]) {
    let wait = || {
        println!("ready");
        let _ = io::stdout().flush();
        let _ = io::stdin().read_line(&mut String::new());
    };
    let number = |i: usize| words[i].parse::<u64>().expect("a number");
    let answer = match words[0] {
        "borrow" => calls::borrow_as_child(bench, number(1), wait).to_string(),
        "compute" => calls::compute_as_child(bench, number(1), number(2), wait).to_string(),
        "memory" => {
            wait();
            cost::memory_as_child(bench, &words[1..])
        }
        "lives" => {
            wait();
            cost::lives_as_child(bench, number(1) as usize).to_string()
        }
        other => panic!("expected borrow, compute, memory or lives; found `{other}`"),
    };
    println!("{answer}");
}

/// Runs `body` on a thread with a stack that every Python accepts from a borrower.
fn on_big_stack<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let big = thread::Builder::new().stack_size(16 << 20);
        let thread = big.spawn_scoped(scope, body).expect("a thread");
        thread.join().expect("no panic")
    })
}

/// The cores that this program may use.
fn cores() -> Vec<usize> {
    // SAFETY: an all-zero set is a valid empty one; the call writes at most its size.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set);
        set
    };
    // SAFETY: the numbers stay below the set's size.
    (0..libc::CPU_SETSIZE as usize)
        .filter(|&core| unsafe { libc::CPU_ISSET(core, &set) })
        .collect()
}

/// Keeps the calling thread, and threads it makes from now on, on one core.
fn pin(core: usize) {
    // SAFETY: an all-zero set is a valid empty one; `core` came from such a set.
    let refused = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    assert_eq!(refused, 0, "this thread may run on core {core}");
}
