//! Processes to compare with: each says `ready`, waits for a line, works, and answers with a line.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The folder of `tasks.py`.
pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/interp");

/// A process that is ready to work.
pub(crate) struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts `tasks.py` with a Python, and waits until it is ready.
    pub(crate) fn python(python: &Path, words: &[&str]) -> Self {
        let mut command = Command::new(python);
        command
            .arg(PathBuf::from(FOLDER).join("tasks.py"))
            .args(words);
        Self::start(command)
    }

    /// Starts this program as a worker (see `be_child`), and waits until it is ready.
    pub(crate) fn own(words: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.args(["--child", words]);
        Self::start(command)
    }

    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("a piped output"));
        let mut worker = Self {
            child,
            input,
            output,
        };
        assert_eq!(worker.line(), "ready", "what {command:?} said");
        worker
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn begin(&mut self) {
        let input = self.input.as_mut().expect("it was not ended");
        input.write_all(b"go\n").expect("it listens");
    }

    /// What it answers to the end of its work: numbers.
    pub(crate) fn answer(&mut self) -> Vec<f64> {
        let line = self.line();
        let numbers: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
        numbers.unwrap_or_else(|_| panic!("expected numbers from a worker, found `{line}`"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.input.take());
        // One that failed has said so itself.
        let _ = self.child.wait();
    }
}

/// Lets all of them work at once; returns how long it took, and what they answered.
pub(crate) fn together(workers: &mut [Worker]) -> (Duration, Vec<Vec<f64>>) {
    let begin = Instant::now();
    workers.iter_mut().for_each(Worker::begin);
    let answers = workers.iter_mut().map(Worker::answer).collect();
    (begin.elapsed(), answers)
}
