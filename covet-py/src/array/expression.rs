//! Expressions such as `a*x + y` over arrays, in one pass over memory.

use super::dtype::DType;
use super::kernels;
use super::layout::{Shape, View};
use super::operand::{Output, Side};
use crate::entry::{self, Kind, raise};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use covet_simd::{Error, Expression};
use std::cell::RefCell;
use std::rc::Rc;

/// An expression, and what it was read from.
struct Parsed {
    text: String,
    expression: Expression,
}

/// How many a thread keeps: a program has few, and more of them would take longer to look through than to read again.
const KEPT: usize = 8;

thread_local! {
    /// The expressions that this thread computed last, the latest first.
    static RECENT: RefCell<Vec<Rc<Parsed>>> = const { RefCell::new(Vec::new()) };
}

impl Parsed {
    fn new(text: &str, names: &[&str]) -> Result<Rc<Self>, Error> {
        RECENT.with_borrow_mut(|recent| {
            let is_it = |one: &Rc<Self>| {
                one.text == text && one.expression.operands().eq(names.iter().copied())
            };
            match recent.iter().position(is_it) {
                Some(at) => recent[..=at].rotate_right(1),
                None => {
                    let expression = Expression::parse(text, names)?;
                    let text = text.to_owned();
                    recent.truncate(KEPT - 1);
                    recent.insert(0, Rc::new(Self { text, expression }));
                }
            }
            Ok(recent[0].clone())
        })
    }
}

/// The value of an expression whose operands have these names. Numbers take the dtype of the arrays, shapes repeat as NumPy's do.
///
/// # Errors
/// [`Raised`] with `ValueError` for what is no expression, for shapes that do not fit, and without any array; with `TypeError` for what
/// is neither array nor number, and for dtypes that an operation is not made for; as [`Output::new`].
///
/// # Safety
/// Attached to the interpreter of `kind`, the type of arrays; the objects are alive, `out` or null.
pub(crate) unsafe fn evaluate(
    kind: *mut ffi::PyTypeObject,
    text: &str,
    operands: &[(&str, *mut ffi::PyObject)],
    out: *mut ffi::PyObject,
) -> Result<Object, Raised> {
    let names: Vec<_> = operands.iter().map(|&(name, _)| name).collect();
    let parsed = Parsed::new(text, &names).map_err(|error| refuse(&error))?;
    // SAFETY: as promised; the views have the dtype, repeat to the shape, and are kept until the end.
    unsafe {
        let mut sides = operands
            .iter()
            .map(|&(_, object)| Side::read(object, kind))
            .collect::<Result<Vec<_>, _>>()?;
        let (dtype, shape) = common(&sides)?;
        for side in &mut sides {
            side.convert(dtype, kind)?;
        }
        let views: Vec<&View> = views(&sides).collect();
        let out = Output::new(kind, out, dtype, shape, &views)?;
        let given: Vec<_> = sides.iter().map(Side::given).collect();
        kernels::evaluate(&parsed.expression, &given, &out.view)?
            .map_err(|error| refuse(&error))?;
        Ok(out.into_result())
    }
}

fn views(sides: &[Side]) -> impl Iterator<Item = &View> {
    sides.iter().filter_map(|side| match side {
        Side::Elements(operand) => Some(&operand.view),
        Side::Number(_) => None,
    })
}

/// The dtype and the shape of the result.
fn common(sides: &[Side]) -> Result<(DType, Shape), Raised> {
    let mut views = views(sides);
    let Some(first) = views.next() else {
        return Err(raise(
            Kind::Value,
            "expected an array among the operands, found numbers only",
        ));
    };
    let (mut dtype, mut shape) = (first.dtype, first.shape());
    for view in views {
        dtype = dtype.promoted(view.dtype);
        shape = shape.broadcast(view.shape()).ok_or_else(|| {
            let (one, other) = (shape.text(), view.shape().text());
            raise(
                Kind::Value,
                &format!(
                    "expected shapes that are equal, or repeat to one, found {one} and {other}"
                ),
            )
        })?;
    }
    for side in sides {
        if let Side::Number(number) = side {
            dtype = number.meets(dtype);
        }
    }
    match dtype {
        DType::Bool => Err(raise(
            Kind::Type,
            "expected arrays of numbers, found dtype bool",
        )),
        _ => Ok((dtype, shape)),
    }
}

/// The operands that are given by name, as a call passes them: one object for each `str` of the tuple `names`.
///
/// # Errors
/// [`Raised`] with `TypeError` for None.
///
/// # Safety
/// Attached; `names` is such a tuple or null, alive for `'a`, and `values` its objects.
pub(crate) unsafe fn named<'a>(
    names: *mut ffi::PyObject,
    values: *const *mut ffi::PyObject,
) -> Result<Vec<(&'a str, *mut ffi::PyObject)>, Raised> {
    if names.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: as promised; what a tuple holds is alive with it.
    unsafe {
        (0..ffi::PyTuple_GET_SIZE(names))
            .map(|i| {
                let name = entry::utf8(ffi::PyTuple_GET_ITEM(names, i))?.unwrap_or_default();
                let value = *values.add(i as usize);
                if value == ffi::Py_None() && name != "out" {
                    let found = format!("expected an array or a number as {name}, found None");
                    return Err(raise(Kind::Type, &found));
                }
                Ok((name, value))
            })
            .collect()
    }
}

fn refuse(error: &Error) -> Raised {
    let kind = match error {
        Error::Unsupported { .. } => Kind::Type,
        _ => Kind::Value,
    };
    raise(kind, &error.to_string())
}
