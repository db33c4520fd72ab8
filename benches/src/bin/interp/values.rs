//! What values of many parts cost on their way there and back: beside `marshal`, which writes and reads the same ones.

use covet_interp::raw::{Object, Support};
use covet_interp::{Function, Message, ffi};

use crate::transport::{call, measure};
use crate::{Bench, on_big_stack};

/// Values by name, the most microseconds that they should take, and how Python makes them.
const VALUES: [(&str, Option<f64>, &str); 6] = [
    (
        "a dict of 10 floats",
        Some(2.5),
        "{f'key{i}': i * 1.5 for i in range(10)}",
    ),
    ("a list of 1000 ints", Some(40.0), "list(range(1000, 2000))"),
    (
        "a list of 1000 str",
        None,
        "[f'item {i}' for i in range(1000)]",
    ),
    (
        "100 dicts of 3",
        None,
        "[{'id': i, 'x': i * 0.5, 'name': f'n{i}'} for i in range(100)]",
    ),
    ("300 tuples of 2", None, "[(i, i + 1) for i in range(300)]"),
    (
        "30 lists of 10 tuples of 2",
        None,
        "[[(i, j) for j in range(10)] for i in range(30)]",
    ),
];

pub(crate) fn values(bench: &mut Bench) {
    let times = on_big_stack(|| echoes(bench));
    for ((name, most, _), [ours, marshal]) in VALUES.into_iter().zip(times) {
        let peers = [("marshal, twice", marshal)];
        bench.case(&format!("echo of {name}"), "us", ours, &peers);
        if let Some(most) = most {
            bench.reach(&format!("echo of {name}, us"), ours, most);
        }
    }
}

/// Microseconds of `same(value)`, called as covet_py calls from a thread attached to main; and of `marshal`, which writes and reads
/// each of them twice, as it would on the way there and back.
fn echoes(bench: &Bench) -> [[f64; 2]; VALUES.len()] {
    let runtime = bench.runtime();
    let pool = bench.pool(1);
    pool.wait_ready(None).expect("an interpreter");
    let same = Function::reference("tasks", "same");
    let _attached = runtime.attach().expect("memory for a state");
    let mut messages = [Message::new(), Message::new()];
    // SAFETY: attached to main; every object is alive where it is used, and dropped before the guard.
    unsafe {
        let support = Support::load().expect("a support module");
        VALUES.map(|(_, _, source)| {
            let made = Object::module_from_source(c"values", &format!("value = {source}"));
            let value = made.and_then(|module| module.attribute(c"value"));
            let value = value.expect("a value");
            let alike = |other: &Object| {
                ffi::PyObject_RichCompareBool(value.as_ptr(), other.as_ptr(), ffi::Py_EQ) == 1
            };
            assert!(alike(&call(&support, &pool, &same, &value, &mut messages)));
            assert!(alike(&marshalled(&value)));
            let ours = measure(bench, || {
                call(&support, &pool, &same, &value, &mut messages);
            });
            let marshal = measure(bench, || {
                marshalled(&marshalled(&value));
            });
            [ours, marshal]
        })
    }
}

/// A copy, by `marshal`.
///
/// # Safety
/// Attached.
unsafe fn marshalled(value: &Object) -> Object {
    // SAFETY: attached; `bytes` is alive while it is read.
    unsafe {
        let bytes = ffi::PyMarshal_WriteObjectToString(value.as_ptr(), 4);
        let bytes = Object::owned(bytes).expect("it can be written");
        let data = bytes.as_bytes().expect("bytes");
        let copy = ffi::PyMarshal_ReadObjectFromString(
            data.as_ptr().cast(),
            data.len() as ffi::Py_ssize_t,
        );
        Object::owned(copy).expect("it can be read")
    }
}
