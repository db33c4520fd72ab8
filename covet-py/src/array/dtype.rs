//! What an element of an array is.

use crate::entry::{Kind, raise};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use std::ffi::{CStr, c_long};

/// The type of the elements. `Bool` is what comparisons give, one byte of 0 or 1; nothing is computed with it but logic and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DType {
    Bool,
    Int32,
    Int64,
    Float32,
    Float64,
}

/// For messages: what is expected where a dtype is.
pub(crate) const EXPECTED: &str = "\"float32\", \"float64\", \"int32\", \"int64\" or \"bool\"";

/// Runs a body with `T` standing for the type of the elements.
macro_rules! with_type {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::array::dtype::DType::Bool => {
                type $T = u8;
                $body
            }
            $crate::array::dtype::DType::Int32 => {
                type $T = i32;
                $body
            }
            $crate::array::dtype::DType::Int64 => {
                type $T = i64;
                $body
            }
            $crate::array::dtype::DType::Float32 => {
                type $T = f32;
                $body
            }
            $crate::array::dtype::DType::Float64 => {
                type $T = f64;
                $body
            }
        }
    };
}
pub(crate) use with_type;

impl DType {
    const ALL: [Self; 5] = [
        Self::Bool,
        Self::Int32,
        Self::Int64,
        Self::Float32,
        Self::Float64,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        }
    }

    /// Bytes of one element, which is its alignment too.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Int32 | Self::Float32 => 4,
            Self::Int64 | Self::Float64 => 8,
        }
    }

    pub(crate) const fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float64)
    }

    /// Its letter in the buffer protocol: the one that NumPy reads as the type of this name.
    pub(crate) const fn format(self) -> &'static CStr {
        match self {
            Self::Bool => c"?",
            Self::Int32 => c"i",
            Self::Int64 if size_of::<c_long>() == 8 => c"l",
            Self::Int64 => c"q",
            Self::Float32 => c"f",
            Self::Float64 => c"d",
        }
    }

    /// Its code in `__array_interface__`.
    pub(crate) const fn type_string(self) -> &'static str {
        const LITTLE: bool = cfg!(target_endian = "little");
        match self {
            Self::Bool => "|b1",
            Self::Int32 if LITTLE => "<i4",
            Self::Int32 => ">i4",
            Self::Int64 if LITTLE => "<i8",
            Self::Int64 => ">i8",
            Self::Float32 if LITTLE => "<f4",
            Self::Float32 => ">f4",
            Self::Float64 if LITTLE => "<f8",
            Self::Float64 => ">f8",
        }
    }

    /// What a buffer of this format and item size holds.
    ///
    /// # Errors
    /// [`Raised`] with `TypeError` that says what is wrong with it.
    #[inline]
    pub(crate) fn of_format(format: &[u8], item_size: isize) -> Result<Self, Raised> {
        const NATIVE: u8 = if cfg!(target_endian = "little") {
            b'<'
        } else {
            b'>'
        };
        let letter = match *format {
            [letter] => letter,
            [order, letter] if order == b'@' || order == b'=' || order == NATIVE => letter,
            _ => b'x',
        };
        match (letter, item_size) {
            (b'f', 4) => Ok(Self::Float32),
            (b'd', 8) => Ok(Self::Float64),
            (b'i' | b'l', 4) => Ok(Self::Int32),
            (b'l' | b'q' | b'n', 8) => Ok(Self::Int64),
            (b'?', 1) => Ok(Self::Bool),
            _ => Err(refuse_format(format)),
        }
    }

    /// The dtype that a Python object names.
    ///
    /// # Errors
    /// [`Raised`] with `TypeError`.
    ///
    /// # Safety
    /// Attached; `object` is alive.
    pub(crate) unsafe fn of_object(object: *mut ffi::PyObject) -> Result<Self, Raised> {
        // SAFETY: attached and alive.
        unsafe {
            let builtin = |kind: *mut ffi::PyTypeObject| object == kind.cast();
            if builtin(&raw mut ffi::PyFloat_Type) {
                return Ok(Self::Float64);
            }
            if builtin(&raw mut ffi::PyLong_Type) {
                return Ok(Self::Int64);
            }
            if builtin(&raw mut ffi::PyBool_Type) {
                return Ok(Self::Bool);
            }
            let object = Object::borrowed(object)?;
            let mut name = object.text();
            // A dtype of NumPy has a name, and so have its scalar types.
            for attribute in [c"name", c"__name__"] {
                if name.is_empty() {
                    match object.attribute(attribute) {
                        Ok(found) => name = found.text(),
                        Err(Raised) => ffi::PyErr_Clear(),
                    }
                }
            }
            match Self::of_name(&name) {
                Some(dtype) => Ok(dtype),
                None => {
                    let shown = Object::owned(ffi::PyObject_Repr(object.as_ptr()))?.text();
                    Err(raise(
                        Kind::Type,
                        &format!("expected {EXPECTED} as dtype, found {shown}"),
                    ))
                }
            }
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let short = match name.trim_start_matches(['<', '=']) {
            "f4" | "f" | "single" => "float32",
            "f8" | "d" | "double" | "float" => "float64",
            "i4" | "i" => "int32",
            "i8" | "q" | "int" => "int64",
            "?" | "b1" | "bool_" => "bool",
            _ => name,
        };
        Self::ALL.into_iter().find(|dtype| dtype.name() == short)
    }

    /// The dtype that holds the values of both, as NumPy chooses it.
    pub(crate) fn promoted(self, other: Self) -> Self {
        use DType::{Bool, Float32, Float64, Int32, Int64};
        match (self, other) {
            (a, b) if a == b => a,
            (Bool, other) | (other, Bool) => other,
            (Int32, Int64) | (Int64, Int32) => Int64,
            (Float32, Int32 | Int64) | (Int32 | Int64, Float32) => Float64,
            (Float64, _) | (_, Float64) => Float64,
            (same, _) => same,
        }
    }

    /// The dtype of what only floats can hold: its own if it is one.
    pub(crate) fn floating(self) -> Self {
        match self {
            Self::Float32 => Self::Float32,
            _ => Self::Float64,
        }
    }
}

#[cold]
fn refuse_format(format: &[u8]) -> Raised {
    let shown = String::from_utf8_lossy(format);
    let hint = match format {
        [b'>' | b'!' | b'<', rest @ ..] if DType::of_format(rest, size_of_letter(rest)).is_ok() => {
            ", which is of another byte order: swap its bytes first"
        }
        [b'B' | b'b' | b'c'] => ": say what the bytes are, as in memoryview(data).cast(\"f\")",
        _ => "",
    };
    // SAFETY: attached, as whoever reads a format; the try above may have raised.
    unsafe { ffi::PyErr_Clear() };
    raise(
        Kind::Type,
        &format!(
            "expected a buffer of float32, float64, int32, int64 or bool (format f, d, i, l, q or ?), found format {shown:?}{hint}"
        ),
    )
}

/// The size of an item whose format is this letter, of those that are known.
fn size_of_letter(letter: &[u8]) -> isize {
    match letter {
        [b'f' | b'i'] => 4,
        [b'd' | b'q' | b'l'] => 8,
        _ => 0,
    }
}
