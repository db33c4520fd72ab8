//! Arrays and DLPack, the protocol by which array libraries hand over memory: both ways, with versions and without.
//!
//! The structures are those of `dlpack.h`, version 1.0. A capsule named `dltensor` or `dltensor_versioned` holds one; who takes it renames
//! the capsule, and calls the tensor's deleter when done, from whatever thread. So only memory that any thread may let go of is handed
//! out where it lies.

use super::block::Block;
use super::buffer::refuse_dimensions;
use super::create;
use super::dtype::DType;
use super::layout::{Shape, View};
use super::{fields, make};
use crate::entry::{self, Kind, raise};
use crate::signature::{Signature, flag};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::Arc;

const CPU: i32 = 1;
const CODE_INT: u8 = 0;
const CODE_FLOAT: u8 = 2;
const CODE_BOOL: u8 = 6;
const READ_ONLY: u64 = 1;
const COPIED: u64 = 2;

const PLAIN: &CStr = c"dltensor";
const VERSIONED: &CStr = c"dltensor_versioned";
const USED_PLAIN: &CStr = c"used_dltensor";
const USED_VERSIONED: &CStr = c"used_dltensor_versioned";

/// `DLTensor`
#[derive(Debug)]
#[repr(C)]
struct RawTensor {
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    ndim: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *mut i64,
    /// In elements; null for memory without gaps.
    strides: *mut i64,
    byte_offset: u64,
}

/// `DLManagedTensor`
#[repr(C)]
struct Managed {
    tensor: RawTensor,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
}

/// `DLManagedTensorVersioned`
#[repr(C)]
struct ManagedVersioned {
    major: u32,
    minor: u32,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut ManagedVersioned)>,
    flags: u64,
    tensor: RawTensor,
}

/// A tensor of a producer, which is told when it is dropped.
#[derive(Debug)]
pub(crate) enum Tensor {
    Plain(*mut c_void),
    Versioned(*mut c_void),
}

impl Drop for Tensor {
    fn drop(&mut self) {
        // SAFETY: taken out of its capsule by `take`, and deleted once.
        unsafe {
            match *self {
                Self::Plain(tensor) => {
                    let tensor = tensor.cast::<Managed>();
                    if let Some(delete) = (*tensor).deleter {
                        delete(tensor);
                    }
                }
                Self::Versioned(tensor) => {
                    let tensor = tensor.cast::<ManagedVersioned>();
                    if let Some(delete) = (*tensor).deleter {
                        delete(tensor);
                    }
                }
            }
        }
    }
}

/// What a tensor of ours keeps: its memory, and the numbers that it points to.
struct Kept {
    _block: Arc<Block>,
    shape: [i64; 2],
    strides: [i64; 2],
}

/// `__dlpack__(*, stream=None, max_version=None, dl_device=None, copy=None)`
pub(crate) unsafe extern "C" fn export(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    static SIGNATURE: Signature<4> = Signature {
        function: "__dlpack__",
        names: [c"stream", c"max_version", c"dl_device", c"copy"],
        required: 0,
        positional: 0,
    };
    // SAFETY: CPython calls this attached, with an instance and its arguments.
    entry::object(|| unsafe {
        let [stream, version, device, copy] = SIGNATURE.read(arguments, count, keywords)?;
        if !stream.is_null() {
            return Err(raise(
                Kind::Value,
                "__dlpack__(): expected no stream, since the memory is that of the CPU, found one",
            ));
        }
        if !device.is_null() && pair(device)? != (CPU.into(), 0) {
            return Err(raise(
                Kind::Buffer,
                "__dlpack__(): expected the device (1, 0), which is the CPU, found another",
            ));
        }
        let versioned = !version.is_null() && pair(version)?.0 >= 1;
        let mut array = Object::borrowed(this)?;
        let wish = flag(copy)?;
        let copied = wish == Some(true) || !fields(this).block.crosses();
        if copied {
            if wish == Some(false) {
                return Err(raise(
                    Kind::Buffer,
                    "__dlpack__(): this array is over the memory of another object, which only its own interpreter may let go of: it has to be copied",
                ));
            }
            let view = &fields(this).view;
            array = create::copy_of(ffi::Py_TYPE(this), view, view.dtype)?;
        }
        let array = fields(array.as_ptr());
        if array.readonly && !versioned {
            return Err(raise(
                Kind::Buffer,
                "__dlpack__(): this array is read-only, which only DLPack 1.0 can say: ask for it by max_version, or copy the array",
            ));
        }
        let mut flags = 0;
        if array.readonly {
            flags |= READ_ONLY;
        }
        if copied {
            flags |= COPIED;
        }
        hand_out(&array.view, &array.block, versioned, flags)
    })
}

/// A capsule of a tensor over this memory.
unsafe fn hand_out(
    view: &View,
    block: &Arc<Block>,
    versioned: bool,
    flags: u64,
) -> Result<Object, Raised> {
    let size = view.dtype.size() as isize;
    let kept = Box::into_raw(Box::new(Kept {
        _block: Arc::clone(block),
        shape: view.shape.map(|length| length as i64),
        strides: view.strides.map(|stride| (stride / size) as i64),
    }));
    // SAFETY: attached, as promised by the caller. What the tensor points to lies in `kept`, which the deleter frees; the capsule's
    // destructor calls that if nobody took the tensor.
    unsafe {
        let tensor = RawTensor {
            data: view.start.cast(),
            device_type: CPU,
            device_id: 0,
            ndim: view.ndim as i32,
            code: match view.dtype {
                DType::Bool => CODE_BOOL,
                DType::Int32 | DType::Int64 => CODE_INT,
                DType::Float32 | DType::Float64 => CODE_FLOAT,
            },
            bits: (view.dtype.size() * 8) as u8,
            lanes: 1,
            shape: (&raw mut (*kept).shape).cast(),
            strides: (&raw mut (*kept).strides).cast(),
            byte_offset: 0,
        };
        let (pointer, name): (*mut c_void, _) = if versioned {
            let managed = Box::new(ManagedVersioned {
                major: 1,
                minor: 0,
                context: kept.cast(),
                deleter: Some(delete_versioned),
                flags,
                tensor,
            });
            (Box::into_raw(managed).cast(), VERSIONED)
        } else {
            let managed = Box::new(Managed {
                tensor,
                context: kept.cast(),
                deleter: Some(delete_plain),
            });
            (Box::into_raw(managed).cast(), PLAIN)
        };
        let capsule = ffi::PyCapsule_New(pointer, name.as_ptr(), Some(destroy_capsule));
        Object::owned(capsule).inspect_err(|Raised| match versioned {
            true => delete_versioned(pointer.cast()),
            false => delete_plain(pointer.cast()),
        })
    }
}

unsafe extern "C" fn delete_plain(tensor: *mut Managed) {
    // SAFETY: made by `hand_out`, and deleted once, by whoever took it. The block may be let go of by any thread.
    unsafe {
        drop(Box::from_raw((*tensor).context.cast::<Kept>()));
        drop(Box::from_raw(tensor));
    }
}

unsafe extern "C" fn delete_versioned(tensor: *mut ManagedVersioned) {
    // SAFETY: as `delete_plain`.
    unsafe {
        drop(Box::from_raw((*tensor).context.cast::<Kept>()));
        drop(Box::from_raw(tensor));
    }
}

unsafe extern "C" fn destroy_capsule(capsule: *mut ffi::PyObject) {
    // SAFETY: CPython calls this attached, with a capsule of ours. One that nobody took has its first name.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, PLAIN.as_ptr()) != 0 {
            delete_plain(ffi::PyCapsule_GetPointer(capsule, PLAIN.as_ptr()).cast());
        } else if ffi::PyCapsule_IsValid(capsule, VERSIONED.as_ptr()) != 0 {
            delete_versioned(ffi::PyCapsule_GetPointer(capsule, VERSIONED.as_ptr()).cast());
        }
    }
}

/// `__dlpack_device__()`
pub(crate) unsafe extern "C" fn device(
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached.
    entry::object(|| unsafe {
        let number = |value: i32| Object::owned(ffi::PyLong_FromLong(value.into()));
        entry::tuple([number(CPU), number(0)])
    })
}

create::function!(
    /// `from_dlpack(x, /)`
    from_dlpack,
    Signature {
        function: "from_dlpack",
        names: [c"x"],
        required: 1,
        positional: 1,
    },
    |kind, [producer]| take(kind, producer)
);

/// An array over the memory of a producer of DLPack.
///
/// # Errors
/// [`Raised`] with `BufferError` for memory that is not the CPU's, `TypeError`, `ValueError`, and what the producer raised.
///
/// # Safety
/// Attached to the interpreter of `kind`, the type of arrays; `producer` is alive.
pub(crate) unsafe fn take(
    kind: *mut ffi::PyTypeObject,
    producer: *mut ffi::PyObject,
) -> Result<Object, Raised> {
    // SAFETY: attached and alive; the capsule is checked by its name before it is read, and renamed when its tensor is taken.
    unsafe {
        let producer = Object::borrowed(producer)?;
        let device = producer.attribute(c"__dlpack_device__")?.call(&[])?;
        let (device, _) = pair(device.as_ptr())?;
        if device != CPU.into() {
            return Err(raise(
                Kind::Buffer,
                &format!(
                    "from_dlpack(): expected memory of the CPU (device 1), found device {device}"
                ),
            ));
        }
        let capsule = capsule_of(&producer)?;
        let get = |name: &CStr, used: &CStr| {
            if ffi::PyCapsule_IsValid(capsule.as_ptr(), name.as_ptr()) == 0 {
                return None;
            }
            let pointer = ffi::PyCapsule_GetPointer(capsule.as_ptr(), name.as_ptr());
            ffi::PyCapsule_SetName(capsule.as_ptr(), used.as_ptr());
            Some(pointer)
        };
        let (tensor, raw, readonly) = if let Some(pointer) = get(VERSIONED, USED_VERSIONED) {
            let managed = &*pointer.cast::<ManagedVersioned>();
            let tensor = Tensor::Versioned(pointer);
            if managed.major != 1 {
                return Err(raise(
                    Kind::Buffer,
                    &format!(
                        "from_dlpack(): expected DLPack 1, found version {}",
                        managed.major
                    ),
                ));
            }
            (tensor, &managed.tensor, managed.flags & READ_ONLY != 0)
        } else if let Some(pointer) = get(PLAIN, USED_PLAIN) {
            let managed = &*pointer.cast::<Managed>();
            (Tensor::Plain(pointer), &managed.tensor, false)
        } else {
            return Err(raise(
                Kind::Value,
                "from_dlpack(): expected a capsule with a tensor that nobody took, found another",
            ));
        };
        let view = view_of(raw)?;
        let array = make(kind, view, readonly, Block::of_tensor(tensor))?;
        match view.is_aligned() {
            true => Ok(array),
            false => create::copy_of(kind, &view, view.dtype),
        }
    }
}

/// What the producer hands out: by version 1 if it knows that.
unsafe fn capsule_of(producer: &Object) -> Result<Object, Raised> {
    // SAFETY: attached; every pointer is alive for the call.
    unsafe {
        let export = producer.attribute(c"__dlpack__")?;
        let number = |value: i32| Object::owned(ffi::PyLong_FromLong(value.into()));
        let version = entry::tuple([number(1), number(0)])?;
        let names = entry::tuple([Object::string("max_version")])?;
        let found = Object::owned(ffi::PyObject_Vectorcall(
            export.as_ptr(),
            &version.as_ptr(),
            0,
            names.as_ptr(),
        ));
        match found {
            Err(Raised) if ffi::PyErr_ExceptionMatches(ffi::PyExc_TypeError) != 0 => {
                ffi::PyErr_Clear();
                export.call(&[])
            }
            found => found,
        }
    }
}

/// The elements of a tensor.
unsafe fn view_of(tensor: &RawTensor) -> Result<View, Raised> {
    let dtype = match (tensor.code, tensor.bits, tensor.lanes) {
        (CODE_FLOAT, 32, 1) => DType::Float32,
        (CODE_FLOAT, 64, 1) => DType::Float64,
        (CODE_INT, 32, 1) => DType::Int32,
        (CODE_INT, 64, 1) => DType::Int64,
        (CODE_BOOL, 8, 1) => DType::Bool,
        (code, bits, lanes) => {
            return Err(raise(
                Kind::Type,
                &format!(
                    "from_dlpack(): expected elements of float32, float64, int32, int64 or bool, \
                     found {lanes} of {bits} bits with the type code {code}"
                ),
            ));
        }
    };
    // SAFETY: a tensor has as many lengths as dimensions, and as many strides or none.
    unsafe {
        let length = |i| *tensor.shape.add(i) as isize;
        let shape = match tensor.ndim {
            1 => Shape::one(length(0)),
            2 => Shape::two(length(0), length(1)),
            other => return Err(refuse_dimensions(other as usize)),
        };
        if shape.count().is_none() {
            return Err(super::buffer::too_many(shape));
        }
        let start = tensor
            .data
            .cast::<u8>()
            .wrapping_add(tensor.byte_offset as usize);
        let start = match start.is_null() {
            // Of no elements; still aligned.
            true => ptr::without_provenance_mut(dtype.size()),
            false => start,
        };
        let mut view = View::packed(start, dtype, shape);
        if !tensor.strides.is_null() {
            for i in 0..view.ndim {
                view.strides[i] = *tensor.strides.add(i) as isize * dtype.size() as isize;
            }
        }
        Ok(view)
    }
}

/// Two ints of a tuple.
unsafe fn pair(tuple: *mut ffi::PyObject) -> Result<(i64, i64), Raised> {
    // SAFETY: attached and alive; items are borrowed from the tuple, which is owned here.
    unsafe {
        let tuple = Object::owned(ffi::PySequence_Tuple(tuple))?;
        let item = |i: c_int| {
            let value = ffi::PyLong_AsLongLong(ffi::PyTuple_GetItem(tuple.as_ptr(), i as isize));
            match value == -1 && !ffi::PyErr_Occurred().is_null() {
                true => Err(Raised),
                false => Ok(value),
            }
        };
        Ok((item(0)?, item(1)?))
    }
}
