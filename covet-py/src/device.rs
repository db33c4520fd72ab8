//! `covet_py.DeviceArray`: numbers in the memory of a CUDA device, and `gpu_info`.
//!
//! An instance never changes, so threads share it without a lock. Every call gives the GIL up: the driver may wait for the device
//! in any of them. Without CUDA all of it is there, and says why it cannot be used.

use crate::array::dtype::DType;
use crate::array::layout::{Shape, View};
use crate::array::methods::{fast, tuple_of};
use crate::array::operand::{Number, Operand};
use crate::array::{self, create};
use crate::entry::{self, END, Kind, property, raise, slot};
use crate::signature::Signature;
use crate::state::{State, method};
use covet_interp::raw::{Object, Raised};
use covet_interp::{Detached, ffi};
use covet_simd::gpu::{self, Error, Stream};
use covet_simd::{Unary, gpu::DeviceArray};
use std::ffi::c_void;
use std::ptr;

/// The memory of an instance. Valid from `make` on; nothing in it changes.
#[repr(C)]
struct DeviceObject {
    head: ffi::PyObject,
    shape: Shape,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Int32(DeviceArray<i32>),
    Int64(DeviceArray<i64>),
    Float32(DeviceArray<f32>),
    Float64(DeviceArray<f64>),
}

/// Runs a body with `x` standing for the array, whatever its elements are.
macro_rules! with_values {
    ($values:expr, $x:ident => $body:expr) => {
        match $values {
            Values::Int32($x) => $body,
            Values::Int64($x) => $body,
            Values::Float32($x) => $body,
            Values::Float64($x) => $body,
        }
    };
}

/// The same, where the result is such an array as well.
macro_rules! map_values {
    ($values:expr, $x:ident => $body:expr) => {
        match $values {
            Values::Int32($x) => $body.map(Values::Int32),
            Values::Int64($x) => $body.map(Values::Int64),
            Values::Float32($x) => $body.map(Values::Float32),
            Values::Float64($x) => $body.map(Values::Float64),
        }
    };
}

impl Values {
    fn dtype(&self) -> DType {
        match self {
            Self::Int32(_) => DType::Int32,
            Self::Int64(_) => DType::Int64,
            Self::Float32(_) => DType::Float32,
            Self::Float64(_) => DType::Float64,
        }
    }

    fn device(&self) -> usize {
        with_values!(self, x => x.device())
    }

    /// Copies the elements of a view that has no gaps.
    ///
    /// # Safety
    /// The elements of the view are there.
    unsafe fn of_view(view: &View, device: usize) -> Result<Self, Error> {
        let (start, n) = (view.start, view.count());
        let stream = Stream::shared(device)?;
        // SAFETY: as promised.
        unsafe {
            match view.dtype {
                DType::Int32 => DeviceArray::from_raw(&stream, start.cast(), n).map(Self::Int32),
                DType::Int64 => DeviceArray::from_raw(&stream, start.cast(), n).map(Self::Int64),
                DType::Float32 => {
                    DeviceArray::from_raw(&stream, start.cast(), n).map(Self::Float32)
                }
                DType::Float64 => {
                    DeviceArray::from_raw(&stream, start.cast(), n).map(Self::Float64)
                }
                DType::Bool => Err(Error::Call(covet_simd::Error::Unsupported {
                    operation: "DeviceArray",
                    element: "bool",
                })),
            }
        }
    }
}

/// Calls the driver, detached.
fn call<R>(work: impl FnOnce() -> Result<R, Error>) -> Result<R, Raised> {
    let done = {
        let _detached = Detached::new();
        work()
    };
    done.map_err(|error| {
        let kind = match &error {
            Error::NoDevice { .. } | Error::OtherDevice { .. } | Error::TooLong(_) => Kind::Value,
            Error::OutOfMemory { .. } => Kind::Memory,
            Error::Call(covet_simd::Error::Unsupported { .. }) => Kind::Type,
            Error::Call(_) => Kind::Value,
            _ => Kind::Runtime,
        };
        raise(kind, &error.to_string())
    })
}

const KEYWORDS: std::ffi::c_int = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;

static mut METHODS: [ffi::PyMethodDef; 6] = [
    method!(
        c"to_device",
        fast!(to_device),
        KEYWORDS,
        c"to_device($self, device)\n--\n\nA copy as an Array for \"cpu\"; the array itself for the device that it is on."
    ),
    method!(
        c"sum",
        ffi::PyMethodDefPointer { PyCFunction: sum },
        ffi::METH_NOARGS,
        c"sum($self, /)\n--\n\nThe sum, a Python number; waits for it. Floats are summed in float64 with compensation; ints in int64, where they wrap."
    ),
    method!(
        c"transform",
        fast!(transform),
        KEYWORDS,
        c"transform($self, name)\n--\n\nA new array of the function of this name of each element: absolute, exp, log, negative, reciprocal, sigmoid, sqrt,\nsquare or tanh. Raises ValueError for another name, and TypeError for one that ints have not."
    ),
    method!(
        c"axpy",
        fast!(axpy),
        KEYWORDS,
        c"axpy($self, alpha, x)\n--\n\nA new array of alpha * x + self, each element rounded once. alpha is a number; x is on the same device, of the same dtype and shape."
    ),
    method!(
        c"matmul",
        fast!(matmul_method),
        KEYWORDS,
        c"matmul($self, b)\n--\n\nself @ b of two matrices of floats on the same device, by cuBLAS."
    ),
    ffi::PyMethodDef::zeroed(),
];

macro_rules! properties {
    ($($name:ident, $text:literal, $doc:literal, |$this:ident| $body:expr;)*) => {
        $(unsafe extern "C" fn $name(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
            // SAFETY: CPython calls this attached, with an instance.
            entry::object(|| unsafe {
                let $this = fields(this);
                $body
            })
        })*

        static mut PROPERTIES: [ffi::PyGetSetDef; 6] = [
            $(property($text, $name, $doc),)*
            END,
        ];
    };
}

properties! {
    shape, c"shape", c"The lengths of its one or two dimensions.", |this| tuple_of(&this.shape.lengths[..this.shape.ndim]);
    dtype, c"dtype", c"The name of the type of its elements.", |this| Object::string(this.values.dtype().name());
    ndim, c"ndim", c"1 or 2.", |this| Object::owned(ffi::PyLong_FromSize_t(this.shape.ndim));
    size, c"size", c"The number of elements.", |this| {
        Object::owned(ffi::PyLong_FromSize_t(with_values!(&this.values, x => x.len())))
    };
    device, c"device", c"Where it is, such as \"cuda:0\".", |this| Object::string(&device_name(&this.values));
}

fn device_name(values: &Values) -> String {
    format!("cuda:{}", values.device())
}

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
        slot(ffi::Py_nb_matrix_multiply, matmul as *mut c_void),
        slot(ffi::Py_tp_doc, DOC.as_ptr() as *mut c_void),
        slot(0, ptr::null_mut()),
    ];
    // SAFETY: as promised; the slots fit `DeviceObject`, whose functions and tables are static.
    unsafe {
        entry::make_callable_type::<DeviceObject>(module, c"covet_py.DeviceArray", new, &mut slots)
    }
}

const DOC: &std::ffi::CStr = c"DeviceArray(source, device=\"cuda:0\")\n--\n\n\
A copy of an array, or of anything that Array takes, in the memory of a CUDA device: float32, float64, int32 or int64.\n\n\
Nothing goes to a device unasked, and nothing comes back but by to_device(\"cpu\") and sum(). It never changes. Operations are queued in\n\
order on the device; those that copy from or to the host, and sum(), wait for it. All of them give the GIL up.\n\n\
Raises RuntimeError where CUDA cannot be used, with the reason that gpu_info() states; ValueError for a device that is not there, and\n\
for operands on two devices; MemoryError if the device has none left.";

unsafe fn fields<'a>(this: *mut ffi::PyObject) -> &'a DeviceObject {
    // SAFETY: instances are only made by `make`, which fills the fields; the type has no subclasses.
    unsafe { &*this.cast::<DeviceObject>() }
}

/// An operand of the type that `this` has.
unsafe fn operand<'a>(
    this: *mut ffi::PyObject,
    other: *mut ffi::PyObject,
) -> Result<&'a DeviceObject, Raised> {
    // SAFETY: attached and alive.
    unsafe {
        if ffi::Py_TYPE(this) != ffi::Py_TYPE(other) {
            let found = create::type_name(other);
            return Err(raise(
                Kind::Type,
                &format!("expected a DeviceArray, found {found}"),
            ));
        }
        let [this, other] = [fields(this), fields(other)];
        let [expected, found] = [this, other].map(|array| array.values.dtype().name());
        if expected != found {
            return Err(raise(
                Kind::Type,
                &format!("expected a DeviceArray of {expected}, found one of {found}"),
            ));
        }
        Ok(other)
    }
}

unsafe fn make(
    kind: *mut ffi::PyTypeObject,
    shape: Shape,
    values: Values,
) -> Result<Object, Raised> {
    // SAFETY: attached; the fields are written before anyone else sees the object.
    unsafe {
        let this = Object::owned(ffi::PyType_GenericAlloc(kind, 0))?;
        let memory = this.as_ptr().cast::<DeviceObject>();
        (&raw mut (*memory).shape).write(shape);
        (&raw mut (*memory).values).write(values);
        Ok(this)
    }
}

unsafe extern "C" fn new(
    kind: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    static SIGNATURE: Signature<2> = Signature {
        function: "DeviceArray",
        names: [c"source", c"device"],
        required: 1,
        positional: 2,
    };
    // SAFETY: CPython calls this attached, with our type and the arguments of a vectorcall. The elements are kept until they are
    // copied.
    entry::object(|| unsafe {
        let kind = kind.cast();
        let count = ffi::PyVectorcall_NARGS(count);
        let [source, device] = SIGNATURE.read(arguments, count, keywords)?;
        let device = match device.is_null() {
            true => 0,
            false => device_number(device)?,
        };
        let arrays = State::of_type(kind)?.array_type.as_ptr().cast();
        let mut source = Operand::read(source, arrays)?;
        if !source.view.is_packed() {
            source = Operand::made(create::copy_of(arrays, &source.view, source.view.dtype)?);
        }
        let values = call(|| Values::of_view(&source.view, device))?;
        make(kind, source.view.shape(), values)
    })
}

/// The number of the device that "cuda" or "cuda:1" names.
unsafe fn device_number(device: *mut ffi::PyObject) -> Result<usize, Raised> {
    // SAFETY: attached and alive.
    let name = unsafe { Object::borrowed(device)? }.text();
    let number = match name.strip_prefix("cuda") {
        Some("") => Some(0),
        Some(rest) => rest
            .strip_prefix(':')
            .and_then(|number| number.parse().ok()),
        None => None,
    };
    number.ok_or_else(|| {
        raise(
            Kind::Value,
            &format!("expected a device such as \"cuda:0\", found {name:?}"),
        )
    })
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, attached, with an instance that nobody refers to any more. A heap type is owned by its
    // instances.
    unsafe {
        let kind = ffi::Py_TYPE(this);
        (&raw mut (*this.cast::<DeviceObject>()).values).drop_in_place();
        ffi::PyObject_Free(this.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let DeviceObject { shape, values, .. } = fields(this);
        Object::string(&format!(
            "DeviceArray(shape={}, dtype={}, device={})",
            shape.text(),
            values.dtype().name(),
            device_name(values)
        ))
    })
}

unsafe extern "C" fn to_device(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    static SIGNATURE: Signature<1> = Signature {
        function: "to_device",
        names: [c"device"],
        required: 1,
        positional: 1,
    };
    // SAFETY: CPython calls this attached, with an instance and its arguments. The new array is nobody else's yet.
    entry::object(|| unsafe {
        let [device] = SIGNATURE.read(arguments, count, keywords)?;
        let DeviceObject { shape, values, .. } = fields(this);
        let name = Object::borrowed(device)?.text();
        if name == device_name(values) {
            return Object::borrowed(this);
        }
        if name != "cpu" {
            return Err(raise(
                Kind::Value,
                &format!(
                    "expected \"cpu\" or {:?}, found {name:?}",
                    device_name(values)
                ),
            ));
        }
        let arrays = State::of_type(ffi::Py_TYPE(this))?.array_type.as_ptr();
        let (array, view) = array::empty(arrays.cast(), values.dtype(), *shape)?;
        call(|| with_values!(values, x => x.copy_to_raw(view.start.cast())))?;
        Ok(array)
    })
}

unsafe extern "C" fn sum(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        Object::owned(match &fields(this).values {
            Values::Int32(x) => ffi::PyLong_FromLongLong(call(|| x.sum())?),
            Values::Int64(x) => ffi::PyLong_FromLongLong(call(|| x.sum())?),
            Values::Float32(x) => ffi::PyFloat_FromDouble(call(|| x.sum())?.into()),
            Values::Float64(x) => ffi::PyFloat_FromDouble(call(|| x.sum())?),
        })
    })
}

unsafe extern "C" fn transform(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    static SIGNATURE: Signature<1> = Signature {
        function: "transform",
        names: [c"name"],
        required: 1,
        positional: 1,
    };
    // SAFETY: CPython calls this attached, with an instance and its arguments.
    entry::object(|| unsafe {
        let [name] = SIGNATURE.read(arguments, count, keywords)?;
        let name = Object::borrowed(name)?.text();
        let Some(op) = Unary::from_name(&name) else {
            let known: Vec<_> = Unary::ALL.iter().map(|op| op.name()).collect();
            return Err(raise(
                Kind::Value,
                &format!("expected one of {}, found {name:?}", known.join(", ")),
            ));
        };
        let DeviceObject { shape, values, .. } = fields(this);
        let values = call(|| map_values!(values, x => x.unary(op)))?;
        make(ffi::Py_TYPE(this), *shape, values)
    })
}

unsafe extern "C" fn axpy(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    static SIGNATURE: Signature<2> = Signature {
        function: "axpy",
        names: [c"alpha", c"x"],
        required: 2,
        positional: 2,
    };
    // SAFETY: CPython calls this attached, with an instance and its arguments.
    entry::object(|| unsafe {
        let [alpha, x] = SIGNATURE.read(arguments, count, keywords)?;
        let (y, x) = (fields(this), operand(this, x)?);
        if y.shape != x.shape {
            return Err(raise(
                Kind::Value,
                &format!(
                    "axpy(): expected an x of shape {}, found {}",
                    y.shape.text(),
                    x.shape.text()
                ),
            ));
        }
        let Some(alpha) = Number::read(alpha)? else {
            let found = create::type_name(alpha);
            return Err(raise(
                Kind::Type,
                &format!("axpy(): expected a number as alpha, found {found}"),
            ));
        };
        macro_rules! axpy {
            ($variant:ident, $y:ident, $x:ident, $alpha:expr) => {{
                let alpha = $alpha;
                call(|| {
                    let mut sum = $y.copy()?;
                    sum.axpy(alpha, $x)?;
                    Ok(Values::$variant(sum))
                })?
            }};
        }
        let values = match (&y.values, &x.values) {
            (Values::Int32(y), Values::Int32(x)) => {
                axpy!(Int32, y, x, alpha.as_int(DType::Int32)? as i32)
            }
            (Values::Int64(y), Values::Int64(x)) => {
                axpy!(Int64, y, x, alpha.as_int(DType::Int64)?)
            }
            (Values::Float32(y), Values::Float32(x)) => {
                axpy!(Float32, y, x, alpha.as_f64() as f32)
            }
            (Values::Float64(y), Values::Float64(x)) => axpy!(Float64, y, x, alpha.as_f64()),
            _ => unreachable!("operands are of one dtype"),
        };
        make(ffi::Py_TYPE(this), y.shape, values)
    })
}

unsafe extern "C" fn matmul_method(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    static SIGNATURE: Signature<1> = Signature {
        function: "matmul",
        names: [c"b"],
        required: 1,
        positional: 1,
    };
    // SAFETY: CPython calls this attached, with an instance and its arguments.
    entry::object(|| unsafe {
        let [b] = SIGNATURE.read(arguments, count, keywords)?;
        product(this, b)
    })
}

/// `a @ b`, of which one is an instance.
unsafe extern "C" fn matmul(a: *mut ffi::PyObject, b: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with two objects that are alive.
    entry::object(|| unsafe {
        match ffi::Py_TYPE(a) == ffi::Py_TYPE(b) {
            true => product(a, b),
            false => Object::borrowed(ffi::Py_NotImplemented()),
        }
    })
}

unsafe fn product(a: *mut ffi::PyObject, b: *mut ffi::PyObject) -> Result<Object, Raised> {
    // SAFETY: attached, with an instance and an object that is alive.
    unsafe {
        let kind = ffi::Py_TYPE(a);
        let (a, b) = (fields(a), operand(a, b)?);
        let ([m, k], [rows, n]) = (a.shape.lengths, b.shape.lengths);
        if a.shape.ndim != 2 || b.shape.ndim != 2 || k != rows {
            return Err(raise(
                Kind::Value,
                &format!(
                    "matmul(): expected two matrices, as many columns of a as rows of b, found shapes {} and {}",
                    a.shape.text(),
                    b.shape.text()
                ),
            ));
        }
        let shape = [m, k, n].map(|length| length as usize);
        let values = match (&a.values, &b.values) {
            (Values::Float32(a), Values::Float32(b)) => {
                Values::Float32(call(|| a.matmul(b, shape))?)
            }
            (Values::Float64(a), Values::Float64(b)) => {
                Values::Float64(call(|| a.matmul(b, shape))?)
            }
            _ => {
                let found = a.values.dtype().name();
                return Err(raise(
                    Kind::Type,
                    &format!("matmul(): expected matrices of float32 or float64, found {found}"),
                ));
            }
        };
        make(kind, Shape::two(m, n), values)
    }
}

static mut FUNCTIONS: [ffi::PyMethodDef; 2] = [
    method!(
        c"gpu_info",
        ffi::PyMethodDefPointer {
            PyCFunction: gpu_info
        },
        ffi::METH_NOARGS,
        c"gpu_info($module, /)\n--\n\nWhether CUDA devices can be used, and which: a dict of available (a bool), reason (why not, else None) and devices, a list of\ndicts of index, name, memory (in bytes) and compute_capability (a pair)."
    ),
    ffi::PyMethodDef::zeroed(),
];

/// Adds the functions to a module.
///
/// # Safety
/// Attached; `module` is made from our definition.
pub(crate) unsafe fn add(module: *mut ffi::PyObject) -> Result<(), Raised> {
    // SAFETY: as promised; the table lives as long as the process.
    match unsafe { ffi::PyModule_AddFunctions(module, (&raw mut FUNCTIONS).cast()) } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}

unsafe extern "C" fn gpu_info(_: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached; the list takes references of its own.
    entry::object(|| unsafe {
        let found = {
            let _detached = Detached::new();
            gpu::info()
        };
        let list = Object::owned(ffi::PyList_New(0))?;
        for device in found.iter().flatten() {
            let item = described(device)?;
            if ffi::PyList_Append(list.as_ptr(), item.as_ptr()) < 0 {
                return Err(Raised);
            }
        }
        let reason = match &found {
            Ok(_) => Object::borrowed(ffi::Py_None())?,
            Err(error) => Object::string(&error.to_string())?,
        };
        let available = Object::owned(ffi::PyBool_FromLong(found.is_ok().into()))?;
        dict([
            (c"available", available),
            (c"reason", reason),
            (c"devices", list),
        ])
    })
}

unsafe fn described(device: &gpu::Device) -> Result<Object, Raised> {
    // SAFETY: attached, as the caller.
    unsafe {
        let int = |value: usize| Object::owned(ffi::PyLong_FromSize_t(value));
        let (major, minor) = device.compute_capability;
        dict([
            (c"index", int(device.index)?),
            (c"name", Object::string(&device.name)?),
            (c"memory", int(device.memory)?),
            (
                c"compute_capability",
                entry::tuple([int(major as usize), int(minor as usize)])?,
            ),
        ])
    }
}

/// A dict of these. Called attached.
fn dict<const N: usize>(items: [(&std::ffi::CStr, Object); N]) -> Result<Object, Raised> {
    // SAFETY: attached; the dict takes references of its own.
    unsafe {
        let dict = Object::owned(ffi::PyDict_New())?;
        for (name, value) in items {
            if ffi::PyDict_SetItemString(dict.as_ptr(), name.as_ptr(), value.as_ptr()) < 0 {
                return Err(Raised);
            }
        }
        Ok(dict)
    }
}
