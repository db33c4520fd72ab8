//! covet-interp beside processes, Python's own executors and the bare machine. `cargo xtask bench interp` runs this as it
//! should be run.
//!
//! Usage: `interp --python EXECUTABLE [--quick] [--json FILE] [--lives N] [--own-session] [WORD]`; a word leaves only the
//! groups of cases that contain it. `EXECUTABLE` is the Python that this program embeds: it runs the processes to compare
//! with. Every answer is checked, timed or not.

mod calls;
mod child;
mod cost;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use covet_benches::measure::calibrate;
use covet_benches::report::{self, Row};
use covet_interp::{Function, Pool, Runtime, Strategy, Value};

/// What the cases share, and what they found.
struct Bench {
    python: PathBuf,
    rounds: usize,
    sample: Duration,
    lives: usize,
    /// Where this program may run.
    cores: Vec<usize>,
    rows: Vec<Row>,
    reaches: Vec<Reach>,
}

/// A goal: at most `most`.
struct Reach {
    what: String,
    found: f64,
    most: f64,
}

impl Bench {
    /// The Python that `main` started.
    fn runtime(&self) -> Runtime {
        Runtime::join().expect("Python runs")
    }

    fn pool(&self, workers: usize) -> Pool {
        let pool = Pool::builder().workers(workers).build(&self.runtime());
        pool.expect("a pool")
    }

    fn row(&mut self, case: &str, unit: &'static str, covet: f64, peers: &[(&'static str, f64)]) {
        let rows: Vec<_> = peers
            .iter()
            .map(|&(peer, peer_value)| Row {
                case: case.to_owned(),
                unit,
                covet,
                peer,
                peer_value,
                samples: self.rounds,
            })
            .collect();
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

const GROUPS: [Group; 6] = [
    ("borrowed", calls::borrowed),
    ("dispatched and drained", calls::dispatched),
    ("scaling", calls::scaling),
    ("ready", cost::ready),
    ("memory", cost::of_memory),
    ("lives", cost::lives),
];

struct Options {
    bench: Bench,
    json: Option<PathBuf>,
    own_session: bool,
    child: Option<Vec<String>>,
    word: String,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        bench: Bench {
            python: PathBuf::new(),
            rounds: 9,
            sample: Duration::from_millis(300),
            lives: 1000,
            cores: cores(),
            rows: Vec::new(),
            reaches: Vec::new(),
        },
        json: None,
        own_session: false,
        child: None,
        word: String::new(),
    };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .ok_or(format!("{word} expects a value; found none"))
        };
        match word.as_str() {
            "--quick" => {
                options.bench.rounds = 3;
                options.bench.sample = Duration::from_millis(100);
                options.bench.lives = 100;
            }
            "--own-session" => options.own_session = true,
            "--python" => options.bench.python = value()?.into(),
            "--json" => options.json = Some(value()?.into()),
            "--lives" => {
                let text = value()?;
                let lives = text.parse().ok().filter(|lives| *lives >= 10);
                options.bench.lives = lives.ok_or_else(|| {
                    format!("--lives expects a number from 10 on; found `{text}`")
                })?;
            }
            "--child" => options.child = Some(words.by_ref().collect()),
            word if word.starts_with('-') => return Err(format!("unknown option `{word}`")),
            word => word.clone_into(&mut options.word),
        }
    }
    if options.child.is_none() && !options.bench.python.is_file() {
        return Err("expected --python and the executable of the embedded Python".to_owned());
    }
    Ok(options)
}

fn main() {
    let Options {
        mut bench,
        json,
        own_session,
        child,
        word,
    } = options().unwrap_or_else(|error| {
        eprintln!("interp: {error}");
        std::process::exit(2);
    });
    let runtime = Runtime::embed().expect("Python starts");
    find_tasks(&runtime);
    if let Some(words) = child {
        be_child(&bench, &words);
        return;
    }
    // In a session of its own, this lifts nothing but this program.
    if own_session && fs::write("/proc/self/autogroup", "-20").is_err() {
        println!(
            "note: this session's priority cannot be raised here; other work may show in the figures"
        );
    }
    let (major, minor) = covet_interp::ffi::VERSION;
    println!(
        "Python {major}.{minor}, {:?}; lower quartile of {} rounds; x = how many times more than Covet",
        bench.pool(1).decision().strategy,
        bench.rounds
    );
    let begin = Instant::now();
    let before = calibrate();
    for (name, group) in GROUPS {
        if name.contains(&word) {
            group(&mut bench);
        }
    }
    let after = calibrate();
    println!("\nto reach, at most");
    for Reach { what, found, most } in &bench.reaches {
        let verdict = if found <= most { "" } else { "  missed" };
        println!("  {what:44} {found:10.2}  ({most:.2}){verdict}");
    }
    println!(
        "\ncalibration: {before:.1} ms before, {after:.1} ms after; {:.0} s in total",
        begin.elapsed().as_secs_f64()
    );
    if let Some(file) = &json
        && let Err(error) = report::write_json("interp", &bench.rows, file)
    {
        eprintln!("interp: writing {}: {error}", file.display());
        std::process::exit(1);
    }
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
fn be_child(bench: &Bench, words: &[String]) {
    let wait = || {
        println!("ready");
        let _ = io::stdout().flush();
        let _ = io::stdin().read_line(&mut String::new());
    };
    let number = || words[1].parse::<u64>().expect("a number");
    let answer = match words[0].as_str() {
        "borrow" => calls::borrow_as_child(bench, number(), wait).to_string(),
        "memory" => {
            wait();
            cost::memory_as_child(bench, &words[1..])
        }
        "lives" => {
            wait();
            cost::lives_as_child(bench, number() as usize).to_string()
        }
        other => panic!("expected borrow, memory or lives; found `{other}`"),
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
