//! `covet_py.Array`: numbers in one or two dimensions, the same in every interpreter.
//!
//! An instance is a [`View`] and the [`Block`] that keeps its memory; both never change, so that threads may share it without a lock.
//! The elements may change at any time, by whoever has the memory, as with every buffer of Python: they are only reached by raw
//! pointers, never by a slice. Slices of an array are views of the same block; an array over memory of Rust goes to another
//! interpreter as that block.
//!
//! - `dtype`, `layout`: what an element is, and where the elements lie
//! - `pages`, `block`: memory, and who owns it
//! - `create`, `buffer`, `dlpack`, `share`: from and to the world outside
//! - `operand`, `arguments`: what functions are called with
//! - `functions`: what `covet_py.numeric` has
//! - `kernels`, `moves`: from views to `covet-simd`; copies
//! - `index`, `operators`, `reduce`, `map`, `product`, `methods`, `text`: what is done with arrays in Python

pub(crate) mod arguments;
pub(crate) mod block;
pub(crate) mod buffer;
pub(crate) mod create;
pub(crate) mod dlpack;
pub(crate) mod dtype;
pub(crate) mod expression;
pub(crate) mod functions;
pub(crate) mod index;
pub(crate) mod kernels;
pub(crate) mod layout;
pub(crate) mod map;
pub(crate) mod methods;
pub(crate) mod moves;
pub(crate) mod operand;
pub(crate) mod operators;
pub(crate) mod pages;
pub(crate) mod product;
pub(crate) mod reduce;
pub(crate) mod share;
pub(crate) mod text;

use crate::entry::{self, Kind, raise, slot};
use block::Block;
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use dtype::DType;
use layout::{Shape, View};
use pages::Piece;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

/// The memory of an instance. Valid from `make` on; nothing in it changes.
#[repr(C)]
pub(crate) struct ArrayObject {
    head: ffi::PyObject,
    pub(crate) view: View,
    pub(crate) readonly: bool,
    pub(crate) block: Arc<Block>,
}

/// Makes the type for a module.
///
/// # Safety
/// Attached; `module` is made from our definition.
pub(crate) unsafe fn make_type(module: *mut ffi::PyObject) -> Result<Object, Raised> {
    let mut slots = vec![
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_methods, (&raw mut methods::METHODS).cast()),
        slot(ffi::Py_tp_getset, (&raw mut methods::PROPERTIES).cast()),
        slot(
            ffi::Py_tp_hash,
            ffi::PyObject_HashNotImplemented as *mut c_void,
        ),
        slot(ffi::Py_tp_repr, text::repr as *mut c_void),
        slot(ffi::Py_tp_str, text::str as *mut c_void),
        slot(ffi::Py_tp_iter, index::iterate as *mut c_void),
        slot(ffi::Py_bf_getbuffer, buffer::get as *mut c_void),
        slot(ffi::Py_mp_length, index::length as *mut c_void),
        slot(ffi::Py_mp_subscript, index::subscript as *mut c_void),
        slot(ffi::Py_mp_ass_subscript, index::assign as *mut c_void),
        slot(ffi::Py_sq_length, index::length as *mut c_void),
        slot(ffi::Py_sq_item, index::item as *mut c_void),
        slot(ffi::Py_tp_doc, DOC.as_ptr() as *mut c_void),
    ];
    slots.extend(operators::slots());
    slots.push(slot(0, ptr::null_mut()));
    share::ARRAYS.register();
    // SAFETY: as promised; the slots fit `ArrayObject`, whose functions and tables are static.
    unsafe {
        entry::make_callable_type::<ArrayObject>(module, c"covet_py.Array", create::new, &mut slots)
    }
}

const DOC: &std::ffi::CStr = c"Array(source, dtype=None, *, copy=None)\n--\n\n\
Numbers in one or two dimensions: float32, float64, int32 or int64, and bool for what comparisons give.\n\n\
source is anything with the buffer protocol (array.array, a memoryview that was cast, a NumPy array, an Array), a producer of\n\
DLPack, or numbers: a list, tuple, range or iterable, or a sequence of such rows. dtype is a name, int, float, bool, or a dtype of NumPy.\n\
By default the memory of a buffer is used where it lies, if it is aligned and of that dtype, and copied otherwise; copy=True\n\
always copies, and copy=False raises ValueError where it would have to. A buffer that is in use cannot be resized.\n\n\
Slices, rows and .T are views of the same memory. Sent to another interpreter, an Array is not copied: both have the same\n\
memory, and what one writes the other sees, as between threads. One over the memory of another object arrives read-only.\n\
Operations over more than a few microseconds give the GIL up.\n\n\
Raises TypeError for what holds no such numbers, ValueError for a shape, OverflowError and MemoryError.";

/// What an instance consists of.
///
/// # Safety
/// `this` is an instance, alive for `'a`.
#[inline]
pub(crate) unsafe fn fields<'a>(this: *mut ffi::PyObject) -> &'a ArrayObject {
    // SAFETY: instances are only made by `make`, which fills the fields; the type has no subclasses.
    unsafe { &*this.cast::<ArrayObject>() }
}

/// The fields of any object, if it is an array. Only the types of this module have this destructor.
///
/// # Safety
/// `object` is alive for `'a`.
#[inline]
pub(crate) unsafe fn as_array<'a>(object: *mut ffi::PyObject) -> Option<&'a ArrayObject> {
    // SAFETY: alive, and so is its type.
    unsafe {
        let destructor = (*ffi::Py_TYPE(object)).tp_dealloc?;
        ptr::fn_addr_eq(destructor, dealloc as ffi::destructor).then(|| fields(object))
    }
}

/// Makes an instance.
///
/// # Errors
/// [`Raised`] with `MemoryError`.
///
/// # Safety
/// Attached to the interpreter of `kind`, which [`make_type`] made; `block` keeps what `view` shows.
#[inline]
pub(crate) unsafe fn make(
    kind: *mut ffi::PyTypeObject,
    view: View,
    readonly: bool,
    block: Arc<Block>,
) -> Result<Object, Raised> {
    // SAFETY: attached; the fields are written before anyone else sees the object.
    unsafe {
        let this = Object::owned(ffi::PyType_GenericAlloc(kind, 0))?;
        let memory = this.as_ptr().cast::<ArrayObject>();
        (&raw mut (*memory).view).write(view);
        (&raw mut (*memory).readonly).write(readonly);
        (&raw mut (*memory).block).write(block);
        Ok(this)
    }
}

/// A new array whose elements hold anything, and where they are.
///
/// # Errors
/// [`Raised`] with `ValueError` for a shape that no memory can hold, and `MemoryError`.
///
/// # Safety
/// As [`make`].
#[inline]
pub(crate) unsafe fn empty(
    kind: *mut ffi::PyTypeObject,
    dtype: DType,
    shape: Shape,
) -> Result<(Object, View), Raised> {
    let Some(count) = shape.count() else {
        return Err(buffer::too_many(shape));
    };
    let Some(piece) = Piece::new(count * dtype.size()) else {
        return Err(no_memory(dtype, shape));
    };
    let view = View::packed(piece.start(), dtype, shape);
    // SAFETY: as promised; the piece has room for the elements.
    let made = unsafe { make(kind, view, false, Block::of_piece(piece))? };
    Ok((made, view))
}

#[cold]
pub(crate) fn no_memory(dtype: DType, shape: Shape) -> Raised {
    raise(
        Kind::Memory,
        &format!(
            "no memory for an array of shape {} and dtype {}",
            shape.text(),
            dtype.name()
        ),
    )
}

/// Raises an exception about an array: what it is, and what is wrong with it.
#[cold]
pub(crate) fn kind_error(kind: Kind, view: &View, what: &str) -> Raised {
    let (shape, dtype) = (view.shape().text(), view.dtype.name());
    raise(
        kind,
        &format!("array of shape {shape} and dtype {dtype}: {what}"),
    )
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, attached, with an instance that `make` made and nobody refers to any more. A heap type is
    // owned by its instances.
    unsafe {
        let kind = ffi::Py_TYPE(this);
        (&raw mut (*this.cast::<ArrayObject>()).block).drop_in_place();
        ffi::PyObject_Free(this.cast());
        ffi::Py_DECREF(kind.cast());
    }
}
