//! Arrays as text, and as lists.

use super::create::read_item;
use super::dtype::DType;
use super::fields;
use super::layout::{Rows, View};
use crate::entry;
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use std::fmt::Write;

/// Of an array with more elements only the ends of each dimension are shown.
const MOST_SHOWN: usize = 1000;

/// How many are shown of each end.
const END: usize = 3;

/// `repr(a)`: an expression that makes it again, if all of it is shown.
pub(crate) unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let view = &fields(this).view;
        let text = shown(view, "       ");
        Object::string(&format!("Array({text}, dtype=\"{}\")", view.dtype.name()))
    })
}

/// `str(a)`
pub(crate) unsafe extern "C" fn str(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe { Object::string(&shown(&fields(this).view, " ")) })
}

/// The elements in brackets; rows each on a line that begins with `indent`.
unsafe fn shown(view: &View, indent: &str) -> String {
    let rows = view.own_rows();
    let short = view.count() > MOST_SHOWN;
    let mut text = String::new();
    // SAFETY: the elements are there; they are read one by one.
    unsafe {
        if view.ndim == 1 {
            write_row(&mut text, &rows, 0, view.dtype, short);
            return text;
        }
        text.push('[');
        for (i, row) in places(rows.rows, short).enumerate() {
            if i > 0 {
                text.push_str(",\n");
                text.push_str(indent);
            }
            match row {
                Some(row) => write_row(&mut text, &rows, row, view.dtype, short),
                None => text.push_str("..."),
            }
        }
        text.push(']');
        text
    }
}

unsafe fn write_row(text: &mut String, rows: &Rows, row: usize, dtype: DType, short: bool) {
    text.push('[');
    for (i, column) in places(rows.columns, short).enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        match column {
            // SAFETY: below the lengths.
            Some(column) => unsafe {
                let place = rows.row(row).offset(rows.stride * column as isize);
                write_element(text, place, dtype);
            },
            None => text.push_str("..."),
        }
    }
    text.push(']');
}

/// The places that are shown of so many; `None` for those between.
fn places(count: usize, short: bool) -> impl Iterator<Item = Option<usize>> {
    let (head, tail) = match short && count > 2 * END + 1 {
        true => (END, END),
        false => (count, 0),
    };
    let gap = (tail > 0).then_some(None);
    (0..head)
        .map(Some)
        .chain(gap)
        .chain((count - tail..count).map(Some))
}

unsafe fn write_element(text: &mut String, place: *const u8, dtype: DType) {
    // SAFETY: an element of this dtype lies there. Writing to a String does not fail.
    let _ = unsafe {
        match dtype {
            DType::Bool if *place == 0 => write!(text, "False"),
            DType::Bool => write!(text, "True"),
            DType::Int32 => write!(text, "{}", place.cast::<i32>().read_unaligned()),
            DType::Int64 => write!(text, "{}", place.cast::<i64>().read_unaligned()),
            DType::Float32 => match place.cast::<f32>().read_unaligned() {
                value if value.is_nan() => write!(text, "nan"),
                value => write!(text, "{value:?}"),
            },
            DType::Float64 => match place.cast::<f64>().read_unaligned() {
                value if value.is_nan() => write!(text, "nan"),
                value => write!(text, "{value:?}"),
            },
        }
    };
}

/// `tolist()`
pub(crate) unsafe extern "C" fn to_list(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let view = &fields(this).view;
        let rows = view.own_rows();
        if view.ndim == 1 {
            return list_of_row(&rows, 0, view.dtype);
        }
        list_of(rows.rows, |row| list_of_row(&rows, row, view.dtype))
    })
}

unsafe fn list_of_row(rows: &Rows, row: usize, dtype: DType) -> Result<Object, Raised> {
    // SAFETY: attached; the elements are there.
    unsafe {
        let start = rows.row(row);
        list_of(rows.columns, |column| {
            read_item(start.offset(rows.stride * column as isize), dtype)
        })
    }
}

/// A list of so many items.
///
/// # Safety
/// Attached.
unsafe fn list_of(
    count: usize,
    mut item: impl FnMut(usize) -> Result<Object, Raised>,
) -> Result<Object, Raised> {
    // SAFETY: attached; the list has room for the items, each of which is put there once.
    unsafe {
        let list = Object::owned(ffi::PyList_New(count as isize))?;
        for i in 0..count {
            ffi::PyList_SET_ITEM(list.as_ptr(), i as isize, item(i)?.into_ptr());
        }
        Ok(list)
    }
}
