//! Private images of an extension module that refuses interpreters with a GIL of their own: `examples/refusing.rs`.
//!
//! A process of its own: how a trial is made is set for the whole process.

use covet_interp::{Error, Extensions, Pool, Runtime, Task, Value, set_trial_command};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// One test at a time: they share the command of trials, and one Python.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Python, if its interpreters can have images. Those it makes are in a folder of this process.
fn runtime() -> Option<Runtime> {
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
    let runtime = Runtime::join().unwrap();
    let facts = runtime.facts();
    (facts.own_gil && !facts.free_threaded_build && cfg!(target_os = "linux")).then_some(runtime)
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("covet-images-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

/// The library of the example, built if it is not: cargo builds examples as tests where it runs tests.
fn library() -> &'static Path {
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
fn package(name: &str, modules: &[&str]) -> PathBuf {
    let folder = folder(name);
    for module in modules {
        fs::copy(library(), folder.join(format!("{module}.so"))).unwrap();
    }
    folder
}

fn pool(runtime: &Runtime, extensions: Extensions) -> Pool {
    let pool = Pool::builder()
        .workers(2)
        .extensions(extensions)
        .build(runtime)
        .unwrap();
    pool.wait_ready(None).unwrap();
    pool
}

/// Runs source text in the interpreter of one worker, with the folder on its import path.
fn run(pool: &Pool, worker: usize, folder: &Path, source: &str) -> Result<Value, Error> {
    let path = folder.to_str().unwrap();
    let source =
        format!("import sys\nif {path:?} not in sys.path: sys.path.insert(0, {path:?})\n{source}");
    pool.submit_task(Task::source(&source, &[]).on(worker))?
        .result()
}

fn refusal(outcome: Result<Value, Error>) -> String {
    match outcome {
        Err(Error::Python(error)) if error.kind == "ImportError" => error.message,
        other => panic!("expected an ImportError, found {other:?}"),
    }
}

const COUNT: &str = "import refusing as m\nresult = m.count()";

#[test]
fn each_interpreter_has_variables_of_its_own() {
    let _turn = one_at_a_time();
    let Some(runtime) = runtime() else { return };
    let folder = package("own", &["refusing", "once"]);
    let pool = pool(&runtime, Extensions::Private);
    for module in ["refusing", "once"] {
        let count = COUNT.replace("refusing", module);
        for (worker, expected) in [(0, 1), (0, 2), (1, 1), (0, 3), (1, 2)] {
            assert_eq!(
                run(&pool, worker, &folder, &count),
                Ok(Value::Int(expected)),
                "{module}"
            );
        }
        let about = format!(
            "import {module} as m\nresult = [m.__name__, m.__spec__.name, m.__file__ == m.__spec__.origin, m.__file__]"
        );
        let file = folder.join(format!("{module}.so"));
        assert_eq!(
            run(&pool, 1, &folder, &about),
            Ok(Value::List(vec![
                module.into(),
                module.into(),
                true.into(),
                file.to_str().unwrap().into()
            ]))
        );
        assert!(covet_interp::images().contains(&file));
    }
    assert_eq!(
        run(
            &pool,
            0,
            &folder,
            "import refusing\nresult = refusing.executed"
        ),
        Ok(Value::Int(1))
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn strict_refuses_and_says_why() {
    let _turn = one_at_a_time();
    let Some(runtime) = runtime() else { return };
    let folder = package("strict", &["refusing"]);
    let pool = pool(&runtime, Extensions::Strict);
    let text = refusal(run(&pool, 0, &folder, COUNT));
    assert!(
        text.contains("module refusing cannot be loaded in an interpreter with a GIL of its own"),
        "{text}"
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_thread_of_a_library_comes_into_the_interpreter_of_its_image() {
    let _turn = one_at_a_time();
    let Some(runtime) = runtime() else { return };
    let folder = package("thread", &["refusing"]);
    let pool = pool(&runtime, Extensions::Private);
    // By what only this interpreter has.
    let source = "import refusing, builtins, threading
builtins.mark = MARK
seen = []
refusing.call_from_thread(lambda: seen.append((builtins.mark, threading.get_ident())), 0)
result = seen[0][0] if seen[0][1] != threading.get_ident() else 'this thread'";
    for round in 0..20 {
        for worker in 0..2 {
            let mark = 2 * round + worker as i64;
            let source = source.replace("MARK", &mark.to_string());
            assert_eq!(run(&pool, worker, &folder, &source), Ok(mark.into()));
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_call_that_a_library_leaves_is_made_in_the_interpreter_of_its_image() {
    let _turn = one_at_a_time();
    let Some(runtime) = runtime() else { return };
    let folder = package("pending", &["refusing"]);
    let pool = pool(&runtime, Extensions::Private);
    let source = "import refusing, builtins, time
builtins.mark = MARK
seen = []
refusing.leave_call(lambda: seen.append(builtins.mark))
deadline = time.monotonic() + 30
while not seen and time.monotonic() < deadline: pass
result = seen";
    for mark in 0..20i64 {
        let source = source.replace("MARK", &mark.to_string());
        let seen = run(&pool, mark as usize % 2, &folder, &source);
        assert_eq!(seen, Ok(Value::List(vec![mark.into()])));
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_end_waits_for_a_thread_of_a_library_that_is_inside() {
    let _turn = one_at_a_time();
    let Some(runtime) = runtime() else { return };
    let folder = package("inside", &["refusing"]);
    for seconds in [0.3, 0.0] {
        let pool = pool(&runtime, Extensions::Private);
        let source = format!(
            "import refusing, threading\ninside = threading.Event()\nrefusing.call_from_thread(inside.set, {seconds})\n\
             result = inside.wait(30)"
        );
        assert_eq!(run(&pool, 0, &folder, &source), Ok(true.into()));
        pool.close();
        assert!(pool.wait_ended(None));
    }
    fs::remove_dir_all(folder).unwrap();
}

/// Sets how a trial is made: by a shell.
fn by_shell(script: &str) {
    let words = ["sh", "-c", script].map(OsString::from);
    set_trial_command(words.to_vec());
}

#[test]
fn what_nothing_is_known_of_is_tried_once() {
    let _turn = one_at_a_time();
    let Some(runtime) = runtime() else { return };
    let pool = pool(&runtime, Extensions::Auto);
    let trials = folder("trials").join("log");
    let log = trials.to_str().unwrap();
    for (name, end, expected) in [
        ("works", "echo works", None),
        ("fails", "echo fails: of that", Some("failed: of that")),
        ("crashes", "kill -SEGV $$", Some("SIGSEGV")),
        (
            "never",
            "exit 3 # before it began",
            Some("could not be tried"),
        ),
    ] {
        let folder = package(name, &["refusing"]);
        let begins = if name == "never" { "" } else { "echo begins;" };
        by_shell(&format!("echo $0 $1 >> {log}; {begins} {end}"));
        fs::write(&trials, "").unwrap();
        for _ in 0..3 {
            for worker in 0..2 {
                let forget = "import sys\nsys.modules.pop('refusing', None)\n";
                let outcome = run(&pool, worker, &folder, &format!("{forget}{COUNT}"));
                match expected {
                    None => assert!(outcome.is_ok(), "{outcome:?}"),
                    Some(why) => {
                        let text = refusal(outcome);
                        assert!(text.contains(why), "{text}");
                    }
                }
                let drop = format!(
                    "import sys\nsys.path.remove({:?})",
                    folder.to_str().unwrap()
                );
                run(&pool, worker, &folder, &drop).unwrap();
            }
            if name == "works" {
                break;
            }
        }
        assert_eq!(
            fs::read_to_string(&trials).unwrap(),
            "refusing refusing\n",
            "{name}"
        );
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn files_that_are_no_extension_module_raise_import_error_with_their_path() {
    let _turn = one_at_a_time();
    let Some(runtime) = runtime() else { return };
    let folder = package("bad", &["refusing"]);
    let whole = fs::read(library()).unwrap();
    let mut foreign = whole.clone();
    foreign[18] = 0xf3; // e_machine: RISC-V
    let half = &whole[..whole.len() / 2];
    for (name, bytes, expected) in [
        ("cut", half, "malformed|cut off|none"),
        ("head", &whole[..100], "none|malformed|cut off"),
        ("foreign", &foreign[..], "for machine"),
        ("text", &b"this is no library"[..], "found none"),
        ("empty", &b""[..], "the file is empty"),
        ("other", &whole[..], "PyInit_other"),
    ] {
        fs::write(folder.join(format!("{name}.so")), bytes).unwrap();
        let pool = pool(&runtime, Extensions::Private);
        let text = refusal(run(&pool, 0, &folder, &format!("import {name}")));
        assert!(
            expected.split('|').any(|part| text.contains(part)),
            "{name}: {text}"
        );
        assert_eq!(run(&pool, 0, &folder, COUNT), Ok(1.into()), "{name}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn two_interpreters_that_import_it_at_the_same_moment() {
    let _turn = one_at_a_time();
    let Some(runtime) = runtime() else { return };
    for round in 0..3 {
        let folder = package(&format!("race{round}"), &["refusing"]);
        let pool = pool(&runtime, Extensions::Private);
        std::thread::scope(|scope| {
            let import = |worker| {
                let (pool, folder) = (&pool, &folder);
                scope.spawn(move || run(pool, worker, folder, COUNT))
            };
            let (first, second) = (import(0), import(1));
            assert_eq!(first.join().unwrap(), Ok(1.into()));
            assert_eq!(second.join().unwrap(), Ok(1.into()));
        });
        fs::remove_dir_all(folder).unwrap();
    }
}
