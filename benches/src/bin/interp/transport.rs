//! What large values cost on their way: beside one copy of the same memory, and beside Python's own interpreters.

use std::ptr;
use std::time::Instant;

use covet_benches::measure::lower_quartile;
use covet_interp::raw::{Object, Support};
use covet_interp::{Function, Message, Pool, ffi};

use crate::child::{Worker, together};
use crate::{Bench, on_big_stack};

/// How the bytes are sent.
const KINDS: [&str; 3] = ["bytes", "memoryview", "Buffer"];

pub(crate) fn transport(bench: &mut Bench) {
    for megabytes in [1, 100] {
        let size = megabytes << 20;
        let mut peers = peers(bench, size);
        let (times, copy) = on_big_stack(|| covet(bench, size));
        let copy = ("floor: one copy", copy);
        for (kind, [sent, echoed]) in KINDS.into_iter().zip(times) {
            let is_copied = kind == "bytes";
            for (i, (what, took)) in [("call len", sent), ("echo", echoed)]
                .into_iter()
                .enumerate()
            {
                let mut beside = vec![copy];
                beside.extend(
                    peers
                        .get_mut(kind)
                        .map(|both| ("InterpreterPoolExecutor", both[i])),
                );
                let case = format!("{what}({kind} of {megabytes} MB)");
                bench.case(&case, "us", took, &beside);
                let most = match (is_copied, i) {
                    // One copy, which for more bytes costs whatever the system's pages cost just then.
                    (true, 0) if megabytes == 1 => copy.1 + 10.0,
                    (true, _) => continue,
                    (false, 0) => 1.5,
                    (false, _) => 10.0,
                };
                bench.reach(&format!("{case}, us"), took, most);
            }
        }
    }
}

/// Microseconds of `len(value)` and of `same(value)`, by kind, called as covet_py calls from a thread attached to main; and of
/// one copy of as many bytes.
fn covet(bench: &Bench, size: usize) -> ([[f64; 2]; 3], f64) {
    let runtime = bench.runtime();
    let pool = bench.pool(1);
    pool.wait_ready(None).expect("an interpreter");
    let functions = [("builtins", "len"), ("tasks", "same")]
        .map(|(module, name)| Function::reference(module, name));
    let _attached = runtime.attach().expect("memory for a state");
    let mut messages = [Message::new(), Message::new()];
    // SAFETY: attached to main; every object is alive where it is used, and dropped before the guard.
    unsafe {
        let support = Support::load().expect("a support module");
        let bytes = Object::bytes(&vec![7; size]).expect("bytes");
        let view = Object::owned(ffi::PyMemoryView_FromObject(bytes.as_ptr())).expect("a view");
        let buffer = support.part(c"Buffer").expect("its type").call(&[&bytes]);
        let values = [bytes, view, buffer.expect("a buffer")];
        let times = values.each_ref().map(|value| {
            functions.each_ref().map(|function| {
                let once = || {
                    let result = call(&support, &pool, function, value, &mut messages);
                    let expected = match ffi::PyLong_Check(result.as_ptr()) {
                        0 => ffi::PyObject_Size(result.as_ptr()),
                        _ => ffi::PyLong_AsSsize_t(result.as_ptr()),
                    };
                    assert_eq!(expected as usize, size);
                };
                measure(bench, once)
            })
        });
        let copy = measure(bench, || {
            let copied =
                Object::owned(ffi::PyBytes_FromObject(values[1].as_ptr())).expect("a copy");
            assert_eq!(copied.as_bytes().map(<[u8]>::len), Some(size));
        });
        (times, copy)
    }
}

/// Calls a function as covet_py does, in messages that it uses again.
///
/// # Safety
/// Attached to main, whose `support` it is.
pub(crate) unsafe fn call(
    support: &Support,
    pool: &Pool,
    function: &Function,
    value: &Object,
    [sent, result]: &mut [Message; 2],
) -> Object {
    // SAFETY: as promised; the result's memory is given back in its interpreter, as covet_py does.
    unsafe {
        let arguments = [value.as_ptr()];
        support
            .encode_call(&arguments, ptr::null_mut(), sent)
            .expect("it can be sent");
        let mut here = pool.enter().expect("an interpreter");
        here.call(function, &*sent, result)
            .expect("it does not raise");
        drop(here);
        let back = support.decode(&*result).expect("a result");
        sent.clear();
        let there = result.has_pins().then(|| pool.enter());
        result.clear();
        drop(there);
        back
    }
}

/// Microseconds that `once` takes, the lower quartile of samples.
pub(crate) fn measure(bench: &Bench, mut once: impl FnMut()) -> f64 {
    let sample = |_| {
        let (begin, mut count) = (Instant::now(), 0);
        while count == 0 || begin.elapsed() < bench.sample / 10 {
            once();
            count += 1;
        }
        begin.elapsed().as_secs_f64() * 1e6 / f64::from(count)
    };
    lower_quartile((0..bench.rounds).map(sample).collect())
}

/// Microseconds of the same calls in Python's own interpreters, by kind.
fn peers(bench: &Bench, size: usize) -> std::collections::HashMap<&'static str, [f64; 2]> {
    if ffi::VERSION < (3, 14) {
        return Default::default();
    }
    let size = size.to_string();
    let once = |_| {
        let mut worker = Worker::python(&bench.python, &["transport", &size]);
        together(std::slice::from_mut(&mut worker)).1.remove(0)
    };
    let answers: Vec<_> = (0..bench.rounds.min(5)).map(once).collect();
    let part = |i: usize| lower_quartile(answers.iter().map(|all| all[i]).collect());
    KINDS
        .into_iter()
        .zip([[part(0), part(1)], [part(2), part(3)]])
        .collect()
}
