//! One Python for all tests, the example as a module, and what the tests share.

use covet_interp::{Error, Extensions, Pool, Runtime, Task, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// One test at a time: they share the command of trials, and one Python.
pub(crate) fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Python. The images that its interpreters have are in a folder of this process.
pub(crate) fn runtime() -> Runtime {
    static START: std::sync::Once = std::sync::Once::new();
    START.call_once(|| {
        let cache = folder("cache");
        // SAFETY: before there is a second thread that could look: every test waits for this.
        unsafe { std::env::set_var("COVET_IMAGE_CACHE", &cache) };
        let (started, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = Runtime::embed().expect("Python starts");
            started.send(()).unwrap();
            std::mem::forget(runtime);
            loop {
                std::thread::park();
            }
        });
        wait.recv().unwrap();
    });
    Runtime::join().unwrap()
}

/// A folder of this name in cargo's target folder, empty.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("images-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

/// The library of the example, built if it is not: cargo builds examples as tests where it runs tests.
pub(crate) fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        // target/debug/deps/images-... -> target/debug/examples
        let program = std::env::current_exe().unwrap();
        let built = program.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo
            .args("build --quiet --locked --package covet-interp --example refusing".split(' '))
            .arg("--target-dir")
            .arg(built.parent().unwrap());
        if built.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "{cargo:?}");
        built.join("examples/librefusing.so")
    })
}

/// A folder with the module under these names.
pub(crate) fn package(name: &str, modules: &[&str]) -> PathBuf {
    let folder = folder(name);
    for module in modules {
        fs::copy(library(), folder.join(format!("{module}.so"))).unwrap();
    }
    folder
}

pub(crate) fn pool(runtime: &Runtime, extensions: Extensions) -> Pool {
    let pool = Pool::builder()
        .workers(2)
        .extensions(extensions)
        .build(runtime)
        .unwrap();
    pool.wait_ready(None).unwrap();
    pool
}

/// Runs source text in the interpreter of one worker, with the folder on its import path.
pub(crate) fn run(pool: &Pool, worker: usize, folder: &Path, source: &str) -> Result<Value, Error> {
    let path = folder.to_str().unwrap();
    let source =
        format!("import sys\nif {path:?} not in sys.path: sys.path.insert(0, {path:?})\n{source}");
    pool.submit_task(Task::source(&source, &[]).on(worker))?
        .result()
}

pub(crate) fn refusal(outcome: Result<Value, Error>) -> String {
    match outcome {
        Err(Error::Python(error)) if error.kind == "ImportError" => error.message,
        other => panic!("expected an ImportError, found {other:?}"),
    }
}

/// Source text that calls a function of the module.
pub(crate) const COUNT: &str = "import refusing as m\nresult = m.count()";
