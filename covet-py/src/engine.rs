//! `covet_py.ComputeEngine`: the functions of arrays on threads of its own.

use crate::array::expression;
use crate::array::operand::Operand;
use crate::array::reduce::{Reduction, Wish, reduce};
use crate::array::{create, map, product, reduce as reductions};
use crate::entry::{self, END, Kind, property, raise, slot};
use crate::signature::Signature;
use crate::state::{State, method};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use covet_simd::par::Pool;
use covet_simd::{Error, Unary};
use std::ffi::c_void;
use std::ptr;

/// The memory of an instance. Valid from `new` on; nothing in it changes.
#[repr(C)]
struct EngineObject {
    head: ffi::PyObject,
    /// `None`: the threads that all functions of the process share.
    pool: Option<Pool>,
}

const KEYWORDS: std::ffi::c_int = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;

macro_rules! methods {
    ($($function:expr, $name:literal, $doc:literal;)*) => {
        [
            $(method!(
                $name,
                ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: $function },
                KEYWORDS,
                $doc
            ),)*
            ffi::PyMethodDef::zeroed(),
        ]
    };
}

static mut METHODS: [ffi::PyMethodDef; 15] = methods! {
    sum, c"sum", c"sum($self, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe sum, as numeric.sum.";
    mean, c"mean", c"mean($self, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe mean, as numeric.mean.";
    min, c"min", c"min($self, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe least element, as numeric.min.";
    max, c"max", c"max($self, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe greatest element, as numeric.max.";
    norm, c"norm", c"norm($self, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe Euclidean norm, as numeric.norm.";
    var, c"var", c"var($self, a, axis=None, *, ddof=0, out=None, keepdims=False)\n--\n\nThe variance, as numeric.var.";
    std, c"std", c"std($self, a, axis=None, *, ddof=0, out=None, keepdims=False)\n--\n\nThe standard deviation, as numeric.std.";
    dot, c"dot", c"dot($self, a, b, /)\n--\n\nThe product of two vectors, as numeric.dot.";
    matmul, c"matmul", c"matmul($self, a, b, out=None)\n--\n\nThe product of two matrices, as numeric.matmul.";
    axpy, c"axpy", c"axpy($self, alpha, x, y, out=None)\n--\n\nalpha * x + y, as numeric.axpy.";
    transform, c"transform", c"transform($self, name, x, out=None)\n--\n\nThe function of this name of each element: absolute, exp, log, negative, reciprocal, sigmoid, sqrt, square or tanh.\n\nRaises ValueError for another name.";
    evaluate, c"evaluate", c"evaluate($self, expression, /, *, out=None, **operands)\n--\n\nAn expression of arrays and numbers, as evaluate(\"a*x + y\", a=2.0, x=x, y=y), in one pass over memory: + - * / and\n** 2, brackets, and calls of the functions that transform knows, of abs, min, max, fma and clip. A product that is added to is\nrounded once. Raises ValueError, with the place, for what is no expression.";
    parallel_map, c"parallel_map", c"parallel_map($self, operation, x, out=None)\n--\n\nThe operation of each element: a name that transform knows, or an expression of x, such as \"x / (1 + exp(x))\".";
    parallel_reduce, c"parallel_reduce", c"parallel_reduce($self, name, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe reduction of this name: all, any, argmax, argmin, max, mean, min, nanmax, nanmin, norm, std, sum or var.\n\nThe result is the same for any number of threads. Raises ValueError for another name.";
};

static mut PROPERTIES: [ffi::PyGetSetDef; 2] = [
    property(
        c"num_threads",
        num_threads,
        c"How many threads a call may use, the calling one included.",
    ),
    END,
];

/// Makes the type for a module.
///
/// # Safety
/// Attached; `module` is made from our definition.
pub(crate) unsafe fn make_type(module: *mut ffi::PyObject) -> Result<Object, Raised> {
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_tp_methods, (&raw mut METHODS).cast()),
        slot(ffi::Py_tp_getset, (&raw mut PROPERTIES).cast()),
        slot(
            ffi::Py_tp_doc,
            c"ComputeEngine(num_threads=None)\n--\n\n\
            The functions of covet_py.numeric on so many threads, the calling one included: with None on those that all share, as\n\
            many as there are cores. A call uses others only if it takes more than a tenth of a millisecond, and gives the GIL up\n\
            while it computes. Results do not depend on the number of threads, but for the last bits of large products of\n\
            matrices. The threads end with the engine.\n\n\
            Raises ValueError for num_threads below 1 or above 1024."
                .as_ptr() as *mut c_void,
        ),
        slot(0, ptr::null_mut()),
    ];
    // SAFETY: as promised; the slots fit `EngineObject`, whose functions and tables are static.
    unsafe {
        entry::make_callable_type::<EngineObject>(
            module,
            c"covet_py.ComputeEngine",
            new,
            &mut slots,
        )
    }
}

unsafe extern "C" fn new(
    kind: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    static SIGNATURE: Signature<1> = Signature {
        function: "ComputeEngine",
        names: [c"num_threads"],
        required: 0,
        positional: 1,
    };
    // SAFETY: CPython calls this attached, with the type and the arguments of a vectorcall. The field is written before anyone
    // else sees the object.
    entry::object(|| unsafe {
        let count = ffi::PyVectorcall_NARGS(count);
        let [threads] = SIGNATURE.read(arguments, count, keywords)?;
        let pool = match threads.is_null() {
            true => None,
            false => {
                let threads = entry::count(threads, "num_threads")?.unwrap_or(1);
                let pool = Pool::new(threads).map_err(|error| {
                    let kind = match error {
                        Error::Threads(_) => Kind::Runtime,
                        _ => Kind::Value,
                    };
                    raise(kind, &format!("num_threads: {error}"))
                });
                Some(pool?)
            }
        };
        let this = Object::owned(ffi::PyType_GenericAlloc(kind.cast(), 0))?;
        (&raw mut (*this.as_ptr().cast::<EngineObject>()).pool).write(pool);
        Ok(this)
    })
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, attached, with an instance that nobody refers to any more. A heap type is owned by its
    // instances.
    unsafe {
        let kind = ffi::Py_TYPE(this);
        (&raw mut (*this.cast::<EngineObject>()).pool).drop_in_place();
        ffi::PyObject_Free(this.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

/// # Safety
/// `this` is an instance, alive for `'a`.
unsafe fn pool<'a>(this: *mut ffi::PyObject) -> Option<&'a Pool> {
    // SAFETY: instances are only made by `new`; the type has no subclasses.
    unsafe { (*this.cast::<EngineObject>()).pool.as_ref() }
}

unsafe fn threads(this: *mut ffi::PyObject) -> usize {
    // SAFETY: as promised by the caller.
    match unsafe { pool(this) } {
        Some(pool) => pool.threads(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

unsafe extern "C" fn num_threads(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe { Object::owned(ffi::PyLong_FromSize_t(threads(this))) })
}

unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        Object::string(&format!("<ComputeEngine of {} threads>", threads(this)))
    })
}

/// Runs `call` on the threads of an engine; it gets the module and the type of arrays.
///
/// # Safety
/// Attached; `this` is an instance.
unsafe fn within(
    this: *mut ffi::PyObject,
    call: impl FnOnce(*mut ffi::PyObject, *mut ffi::PyTypeObject) -> Result<Object, Raised>,
) -> *mut ffi::PyObject {
    // SAFETY: as promised; a type made by PyType_FromModuleAndSpec has its module.
    entry::object(|| unsafe {
        let kind = ffi::Py_TYPE(this);
        let module = ffi::PyType_GetModule(kind);
        let array = State::of_type(kind)?.array_type.as_ptr().cast();
        match pool(this) {
            Some(pool) => pool.run(|| call(module, array)),
            None => call(module, array),
        }
    })
}

macro_rules! forwarded {
    ($($name:ident, $function:path;)*) => {$(
        unsafe extern "C" fn $name(
            this: *mut ffi::PyObject,
            arguments: *const *mut ffi::PyObject,
            count: ffi::Py_ssize_t,
            keywords: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject {
            // SAFETY: CPython calls this attached, with an instance and its arguments, which the function takes as they are.
            unsafe {
                within(this, |module, _| Object::owned($function(module, arguments, count, keywords)))
            }
        }
    )*};
}

forwarded! {
    sum, reductions::sum;
    mean, reductions::mean;
    min, reductions::min;
    max, reductions::max;
    norm, reductions::norm;
    var, reductions::var;
    std, reductions::std;
    dot, product::dot;
    matmul, product::matmul;
    axpy, map::axpy;
}

unsafe extern "C" fn transform(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    static SIGNATURE: Signature<3> = Signature {
        function: "transform",
        names: [c"name", c"x", c"out"],
        required: 2,
        positional: 3,
    };
    // SAFETY: CPython calls this attached, with an instance and its arguments.
    unsafe {
        within(this, |_, kind| {
            let [name, x, out] = SIGNATURE.read(arguments, count, keywords)?;
            let operation = named(name, Unary::ALL, Unary::name)?;
            map::unary(kind, operation, Operand::read(x, kind)?, out)
        })
    }
}

unsafe extern "C" fn evaluate(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and its arguments: `count` by position, then those by name.
    unsafe {
        within(this, |_, kind| {
            if count != 1 {
                return Err(raise(
                    Kind::Type,
                    &format!(
                        "evaluate() expected one positional argument, the expression, found {count}"
                    ),
                ));
            }
            let text = text_of(*arguments, "an expression")?;
            let mut operands = expression::named(keywords, arguments.add(1))?;
            let out = operands.iter().position(|&(name, _)| name == "out");
            let out = out.map(|place| operands.remove(place).1);
            let out = out.filter(|&out| out != ffi::Py_None());
            let out = out.unwrap_or(ptr::null_mut());
            expression::evaluate(kind, text, &operands, out)
        })
    }
}

unsafe extern "C" fn parallel_map(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    static SIGNATURE: Signature<3> = Signature {
        function: "parallel_map",
        names: [c"operation", c"x", c"out"],
        required: 2,
        positional: 3,
    };
    // SAFETY: CPython calls this attached, with an instance and its arguments.
    unsafe {
        within(this, |_, kind| {
            let [operation, x, out] = SIGNATURE.read(arguments, count, keywords)?;
            let text = text_of(operation, "the name of an operation, or an expression of x")?;
            match Unary::ALL.iter().find(|known| known.name() == text) {
                Some(&known) => map::unary(kind, known, Operand::read(x, kind)?, out),
                None => expression::evaluate(kind, text, &[("x", x)], out),
            }
        })
    }
}

unsafe extern "C" fn parallel_reduce(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    static SIGNATURE: Signature<5> = Signature {
        function: "parallel_reduce",
        names: [c"name", c"a", c"axis", c"out", c"keepdims"],
        required: 2,
        positional: 3,
    };
    // SAFETY: CPython calls this attached, with an instance and its arguments.
    unsafe {
        within(this, |_, kind| {
            let [name, a, axis, out, keepdims] = SIGNATURE.read(arguments, count, keywords)?;
            let reduction = named(name, &Reduction::ALL, Reduction::name)?;
            let wish = Wish {
                axis,
                keepdims,
                out,
            };
            reduce(kind, reduction, Operand::read(a, kind)?, &wish)
        })
    }
}

/// The text of a `str` that is to be `what`.
///
/// # Safety
/// Attached; `object` is alive for `'a`.
unsafe fn text_of<'a>(object: *mut ffi::PyObject, what: &str) -> Result<&'a str, Raised> {
    // SAFETY: as promised.
    unsafe {
        entry::utf8(object)?.ok_or_else(|| {
            let found = create::type_name(object);
            raise(
                Kind::Type,
                &format!("expected {what}, a str, found {found}"),
            )
        })
    }
}

/// The one of `all` that has this name.
///
/// # Safety
/// Attached; `name` is alive.
unsafe fn named<T: Copy>(
    name: *mut ffi::PyObject,
    all: &[T],
    name_of: fn(T) -> &'static str,
) -> Result<T, Raised> {
    // SAFETY: as promised.
    unsafe {
        let asked = text_of(name, "the name of an operation")?;
        match all.iter().find(|&&one| name_of(one) == asked) {
            Some(&found) => Ok(found),
            None => {
                let mut known: Vec<_> = all.iter().map(|&one| name_of(one)).collect();
                known.sort_unstable();
                Err(raise(
                    Kind::Value,
                    &format!("expected one of {}, found {asked:?}", known.join(", ")),
                ))
            }
        }
    }
}
