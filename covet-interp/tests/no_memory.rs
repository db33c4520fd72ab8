//! Pools are made and interpreters borrowed while one allocation of CPython fails, another one each time: an error that tells, or
//! it works, and the next time it works anyway. Each case is a process: this program again.
//!
//! `cargo test -p covet-interp --test no_memory -- --count COUNT` has COUNT of a pool's allocations fail, one by one (40).

use covet_interp::{Error, Function, Pool, Runtime, ffi};
use std::ffi::{CStr, c_int, c_void};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering};

/// Allocations until one fails; beyond zero none does.
static LEFT: AtomicI64 = AtomicI64::new(i64::MAX);

/// The allocators of the domains, as they were.
static BEFORE: [AtomicPtr<ffi::PyMemAllocatorEx>; 3] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; 3];

fn fails() -> bool {
    LEFT.fetch_sub(1, Ordering::Relaxed) == 1
}

fn before(domain: *mut c_void) -> &'static ffi::PyMemAllocatorEx {
    // SAFETY: `watch` put a leaked allocator there before it installed what calls this.
    unsafe { &*BEFORE[domain as usize].load(Ordering::Relaxed) }
}

extern "C" fn malloc(domain: *mut c_void, size: usize) -> *mut c_void {
    if fails() {
        return std::ptr::null_mut();
    }
    let before = before(domain);
    before.malloc.unwrap()(before.ctx, size)
}

extern "C" fn calloc(domain: *mut c_void, count: usize, size: usize) -> *mut c_void {
    if fails() {
        return std::ptr::null_mut();
    }
    let before = before(domain);
    before.calloc.unwrap()(before.ctx, count, size)
}

extern "C" fn realloc(domain: *mut c_void, block: *mut c_void, size: usize) -> *mut c_void {
    if fails() {
        return std::ptr::null_mut();
    }
    let before = before(domain);
    before.realloc.unwrap()(before.ctx, block, size)
}

extern "C" fn free(domain: *mut c_void, block: *mut c_void) {
    let before = before(domain);
    before.free.unwrap()(before.ctx, block);
}

/// Has all of CPython's allocations counted.
fn watch(runtime: &Runtime) {
    let _main = runtime.attach().unwrap();
    let domains = [
        ffi::PyMemAllocatorDomain::PYMEM_DOMAIN_RAW,
        ffi::PyMemAllocatorDomain::PYMEM_DOMAIN_MEM,
        ffi::PyMemAllocatorDomain::PYMEM_DOMAIN_OBJ,
    ];
    for (number, domain) in domains.into_iter().enumerate() {
        let mut ours = ffi::PyMemAllocatorEx {
            ctx: number as *mut c_void,
            malloc: Some(malloc),
            calloc: Some(calloc),
            realloc: Some(realloc),
            free: Some(free),
        };
        // SAFETY: attached to the only interpreter, and no other thread runs. The new allocator passes everything on to the
        // old one, whose record lives on.
        unsafe {
            let old = Box::leak(Box::new(std::mem::zeroed()));
            ffi::PyMem_GetAllocator(domain, old);
            BEFORE[number].store(old, Ordering::Relaxed);
            ffi::PyMem_SetAllocator(domain, &mut ours);
        }
    }
}

/// What is done while an allocation fails, with a pool that has worked before.
type Deed = fn(&Runtime, &Pool) -> Result<(), Error>;

const DEEDS: [(&str, Deed); 4] = [
    ("build", build),
    ("dispatch", dispatch),
    ("borrow", borrow),
    ("attach", attach),
];

fn build(runtime: &Runtime, _: &Pool) -> Result<(), Error> {
    let pool = Pool::builder().workers(2).build(runtime)?;
    pool.wait_ready(None)?;
    dispatch(runtime, &pool)
}

/// By a worker.
fn dispatch(_: &Runtime, pool: &Pool) -> Result<(), Error> {
    let task = pool.submit(Function::reference("math", "isqrt"), &[9.into()])?;
    task.result().map(|root| assert_eq!(root, 3.into()))
}

/// By a thread that has no state in the pool's interpreter yet.
fn borrow(_: &Runtime, pool: &Pool) -> Result<(), Error> {
    let call = || pool.call(&Function::reference("math", "isqrt"), &[9.into()]);
    on_new_thread(|| call().map(|root| assert_eq!(root, 3.into())))
}

/// By a thread that has no state in main yet.
fn attach(runtime: &Runtime, _: &Pool) -> Result<(), Error> {
    // A runtime belongs to its thread.
    let _ = runtime;
    on_new_thread(|| Runtime::join()?.attach().map(drop))
}

/// With a stack that every Python accepts from a borrower.
fn on_new_thread<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(16 << 20);
        thread.spawn_scoped(scope, body).unwrap().join().unwrap()
    })
}

/// Does something of whose allocations one fails; then it once more, when none does. Prints how many there were, and what came of it.
fn case(name: &str, fail: i64) -> ExitCode {
    report_crashes();
    let (_, deed) = DEEDS.into_iter().find(|&(known, _)| known == name).unwrap();
    let runtime = Runtime::embed().unwrap();
    watch(&runtime);
    // The first pool imports into main what all need.
    let pool = Pool::builder().workers(1).build(&runtime).unwrap();
    assert_eq!(dispatch(&runtime, &pool), Ok(()));
    LEFT.store(fail, Ordering::Relaxed);
    let outcome = deed(&runtime, &pool);
    let left = LEFT.swap(i64::MAX, Ordering::Relaxed);
    match outcome {
        Ok(()) => println!("did {}", fail - left),
        Err(Error::Python(error)) if error.kind == "MemoryError" => println!("refused: {error}"),
        Err(error @ (Error::Broken(_) | Error::NoMemory)) => {
            assert!(error.to_string().len() > 20, "{error}");
            println!("refused: {error}");
        }
        Err(other) => panic!("expected another error, found {other}"),
    }
    assert_eq!(dispatch(&runtime, &pool), Ok(()));
    assert_eq!(deed(&runtime, &pool), Ok(()));
    drop(pool);
    drop(runtime);
    ExitCode::SUCCESS
}

/// Has a crash say in which library it happened, and in which call from Covet.
fn report_crashes() {
    extern "C" fn report(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
        // The process is lost: what a signal handler must not do can only lose it in another way.
        let frames = std::backtrace::Backtrace::force_capture().to_string();
        let ours = frames
            .lines()
            .find(|line| line.contains("covet_interp::"))
            .unwrap_or("");
        eprintln!("\ncrash below {}", ours.trim());
        // SAFETY: the kernel gives the registers of the thread; `dladdr` and `write` only look.
        unsafe {
            let context = &*context.cast::<libc::ucontext_t>();
            #[cfg(target_arch = "x86_64")]
            let at = context.uc_mcontext.gregs[libc::REG_RIP as usize] as *const c_void;
            #[cfg(target_arch = "aarch64")]
            let at = context.uc_mcontext.pc as *const c_void;
            let mut place: libc::Dl_info = std::mem::zeroed();
            if libc::dladdr(at, &mut place) != 0 {
                let name = CStr::from_ptr(place.dli_fname).to_bytes();
                libc::write(2, b"crash in ".as_ptr().cast(), 9);
                libc::write(2, name.as_ptr().cast(), name.len());
            }
            libc::_exit(98);
        }
    }
    // SAFETY: the handler has the signature that SA_SIGINFO asks for.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = report as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT] {
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// Whether a crash is CPython's own: in its code, below its function that makes an interpreter, or what its 3.12 does
/// to whoever called it. So it goes for a C program with nothing but `Py_NewInterpreterFromConfig`: on 3.12.1, of its first 30
/// allocations, 20 that fail lead to this abort once main lets go of its GIL, which it does not hold any more, and 3 to a crash.
fn is_theirs(err: &str) -> bool {
    let place = err.lines().find(|line| line.starts_with("crash in "));
    let while_it_makes_one = || {
        err.lines().any(|line| {
            line.starts_with("crash below ") && line.ends_with("covet_interp::ffi::new_interpreter")
        })
    };
    place.is_some_and(|place| place.contains("libpython"))
        || while_it_makes_one()
        || err.contains("Fatal Python error: _PyInterpreterState_New: memory allocation failed")
        || (ffi::VERSION == (3, 12) && err.contains("drop_gil: GIL is not locked"))
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let count = match words[..] {
        ["--fail", name, number] => return case(name, number.parse().expect("a number")),
        ["--count", count] => count.parse().expect("a number"),
        _ if ffi::FREE_THREADED_BUILD => {
            println!(
                "test no_memory ... ignored, on free-threaded builds Py_EndInterpreter was seen to loop in CPython's allocator \
                 (mi_heap_visit_pages) after some failed allocations; why is not known (--count 40 runs it)"
            );
            println!("test result: ok. 0 passed; 0 failed; 1 ignored");
            return ExitCode::SUCCESS;
        }
        // Words for libtest.
        _ => 40,
    };
    let [mut passed, mut crashed, mut failed] = [0; 3];
    for (name, _) in DEEDS {
        let Swept {
            ended,
            theirs,
            ours,
        } = sweep(name, count);
        passed += ended;
        crashed += theirs;
        failed += ours;
    }
    assert!(
        count == 0 || passed > crashed,
        "these cases say nothing any more: CPython crashes in most"
    );
    passed += crashed;
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {failed} failed");
    ExitCode::from(u8::from(failed != 0))
}

/// How processes ended of which an allocation failed.
struct Swept {
    /// It was done, or refused.
    ended: i64,
    /// CPython crashed.
    theirs: i64,
    /// Whatever else.
    ours: i64,
}

/// Has up to `count` allocations fail, each in a process.
fn sweep(name: &str, count: i64) -> Swept {
    let run = |fail: i64| {
        let output = Command::new("timeout")
            .args(["60".as_ref(), std::env::current_exe().unwrap().as_os_str()])
            .args(["--fail", name, &fail.to_string()])
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status, out, err)
    };
    let (_, out, err) = run(i64::MAX / 2);
    let all: i64 = out
        .trim()
        .strip_prefix("did ")
        .and_then(|n| n.parse().ok())
        .unwrap_or_else(|| panic!("{out}{err}"));
    let count = count.min(all);
    let [mut did, mut refused, mut crashed, mut bad] = [0; 4];
    for number in 0..count {
        let fail = if count == all {
            1 + number
        } else if number % 2 == 0 {
            // Half of them while the first thread states and structures are made, the rest anywhere.
            1 + number / 2
        } else {
            1 + all * number / count
        };
        let (status, out, err) = run(fail);
        if status.success() && out.starts_with("did") {
            did += 1;
        } else if status.success() {
            refused += 1;
        } else {
            println!("{name}, allocation {fail}: {status}\n{out}{err}");
            if is_theirs(&err) {
                crashed += 1;
            } else {
                bad += 1;
            }
        }
    }
    println!(
        "{name}: {all} allocations; {count} of them failed: {did} times it was done, {refused} refused, {crashed} crashes in CPython"
    );
    Swept {
        ended: did + refused,
        theirs: crashed,
        ours: bad,
    }
}
