//! Operations that make one number of many: of all elements, or along an axis.

use super::arguments;
use super::create::function;
use super::dtype::DType;
use super::layout::Shape;
use super::operand::{Operand, Output};
use super::{kernels, kind_error};
use crate::entry::{Kind, raise};
use crate::signature::{Signature, flag};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reduction {
    Sum,
    Mean,
    Min,
    Max,
    NanMin,
    NanMax,
    ArgMin,
    ArgMax,
    /// With so many degrees of freedom less than elements.
    Var(u32),
    Std(u32),
    Norm,
    All,
    Any,
}

/// What a reduction makes of all elements.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reduced {
    Bool(bool),
    Int(i64),
    Float(f64),
}

impl Reduced {
    pub(crate) unsafe fn object(self) -> Result<Object, Raised> {
        // SAFETY: attached, as promised by the caller.
        unsafe {
            Object::owned(match self {
                Self::Bool(value) => ffi::PyBool_FromLong(value.into()),
                Self::Int(value) => ffi::PyLong_FromLongLong(value),
                Self::Float(value) => ffi::PyFloat_FromDouble(value),
            })
        }
    }
}

impl Reduction {
    /// All of them, with as many degrees of freedom as elements.
    pub(crate) const ALL: [Self; 13] = [
        Self::Sum,
        Self::Mean,
        Self::Min,
        Self::Max,
        Self::NanMin,
        Self::NanMax,
        Self::ArgMin,
        Self::ArgMax,
        Self::Var(0),
        Self::Std(0),
        Self::Norm,
        Self::All,
        Self::Any,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::NanMin => "nanmin",
            Self::NanMax => "nanmax",
            Self::ArgMin => "argmin",
            Self::ArgMax => "argmax",
            Self::Var(_) => "var",
            Self::Std(_) => "std",
            Self::Norm => "norm",
            Self::All => "all",
            Self::Any => "any",
        }
    }

    /// Whether there is no result of nothing.
    fn needs_elements(self) -> bool {
        matches!(
            self,
            Self::Min | Self::Max | Self::NanMin | Self::NanMax | Self::ArgMin | Self::ArgMax
        )
    }

    /// What elements of a dtype are brought to first.
    fn takes(self, dtype: DType) -> DType {
        match (self, dtype) {
            (Self::All | Self::Any, dtype) => dtype,
            (Self::Norm | Self::Var(_) | Self::Std(_), dtype) => dtype.floating(),
            // One byte each: as many as there may be are counted in 64 bits.
            (_, DType::Bool) => DType::Int32,
            (_, dtype) => dtype,
        }
    }

    /// The dtype of the results along an axis.
    pub(crate) fn gives(self, dtype: DType) -> DType {
        match self {
            Self::Sum if !dtype.is_float() => DType::Int64,
            Self::Sum | Self::Min | Self::Max | Self::NanMin | Self::NanMax => dtype,
            Self::Mean | Self::Var(_) | Self::Std(_) | Self::Norm => dtype.floating(),
            Self::ArgMin | Self::ArgMax => DType::Int64,
            Self::All | Self::Any => DType::Bool,
        }
    }
}

/// How a reduction is asked for.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) axis: *mut ffi::PyObject,
    pub(crate) keepdims: *mut ffi::PyObject,
    pub(crate) out: *mut ffi::PyObject,
}

/// Reduces elements to a Python number, or along an axis to an array.
///
/// # Errors
/// [`Raised`] with `ValueError` for an axis that there is not, or for no elements where there is no result; as [`Output::new`].
///
/// # Safety
/// Attached to the interpreter of `kind`, the type of arrays; the objects of the wish are null or alive.
#[inline]
pub(crate) unsafe fn reduce(
    kind: *mut ffi::PyTypeObject,
    reduction: Reduction,
    mut from: Operand,
    wish: &Wish,
) -> Result<Object, Raised> {
    // SAFETY: as promised; the views have the dtypes that the kernels take, and are kept.
    unsafe {
        let dtype = reduction.takes(from.view.dtype);
        from.convert(dtype, kind)?;
        let view = &from.view;
        let keep = !wish.keepdims.is_null() && flag(wish.keepdims)? == Some(true);
        if wish.axis.is_null() {
            check_elements(reduction, view.count(), &from)?;
            let result = kernels::reduce(reduction, view);
            if !keep {
                if !wish.out.is_null() {
                    return Err(raise(
                        Kind::Value,
                        &format!(
                            "{}(): expected no out, since the result is one number; give an axis, or keepdims=True",
                            reduction.name()
                        ),
                    ));
                }
                return result.object();
            }
            let shape = match view.ndim {
                1 => Shape::one(1),
                _ => Shape::two(1, 1),
            };
            let dtype = reduction.gives(view.dtype);
            let out = Output::new(kind, wish.out, dtype, shape, &[view])?;
            let number = result.object()?;
            super::create::write_item(out.view.start, dtype, number.as_ptr())?;
            return Ok(out.into_result());
        }
        let axis = arguments::axis(wish.axis, view.ndim)?.unwrap_or(0);
        check_elements(reduction, view.shape[axis] as usize, &from)?;
        if view.ndim == 1 {
            let all = Wish {
                axis: std::ptr::null_mut(),
                keepdims: wish.keepdims,
                out: wish.out,
            };
            return reduce(kind, reduction, from, &all);
        }
        let left = view.shape[1 - axis];
        let shape = match (keep, axis) {
            (false, _) => Shape::one(left),
            (true, 0) => Shape::two(1, left),
            (true, _) => Shape::two(left, 1),
        };
        let out = Output::new(kind, wish.out, reduction.gives(view.dtype), shape, &[view])?;
        kernels::reduce_axis(reduction, view, axis, &out.view);
        Ok(out.into_result())
    }
}

fn check_elements(reduction: Reduction, count: usize, from: &Operand) -> Result<(), Raised> {
    match count {
        0 if reduction.needs_elements() => {
            let what = format!("expected elements for {}, found none", reduction.name());
            Err(kind_error(Kind::Value, &from.view, &what))
        }
        _ => Ok(()),
    }
}

/// The degrees of freedom that var and std lack.
pub(crate) unsafe fn ddof(argument: *mut ffi::PyObject) -> Result<u32, Raised> {
    if argument.is_null() {
        return Ok(0);
    }
    // SAFETY: attached, with an argument of the present call.
    let found = unsafe { arguments::index(argument)? };
    u32::try_from(found).map_err(|_| {
        raise(
            Kind::Value,
            &format!("expected ddof to be at least 0, found {found}"),
        )
    })
}

macro_rules! reductions {
    ($($name:ident, $method:ident, $python:literal, $reduction:expr;)*) => {$(
        function!(
            $name,
            Signature {
                function: $python,
                names: [c"a", c"axis", c"out", c"keepdims"],
                required: 1,
                positional: 2,
            },
            |kind, [a, axis, out, keepdims]| {
                reduce(kind, $reduction, Operand::read(a, kind)?, &Wish { axis, keepdims, out })
            }
        );

        /// The same as a method.
        pub(crate) unsafe extern "C" fn $method(
            this: *mut ffi::PyObject,
            arguments: *const *mut ffi::PyObject,
            count: ffi::Py_ssize_t,
            keywords: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject {
            const SIGNATURE: Signature<3> = Signature {
                function: $python,
                names: [c"axis", c"out", c"keepdims"],
                required: 0,
                positional: 1,
            };
            // SAFETY: CPython calls this attached, with an instance and its arguments.
            crate::entry::object(|| unsafe {
                let [axis, out, keepdims] = SIGNATURE.read(arguments, count, keywords)?;
                let kind = ffi::Py_TYPE(this);
                reduce(kind, $reduction, Operand::read(this, kind)?, &Wish { axis, keepdims, out })
            })
        }
    )*};
}

reductions! {
    sum, sum_method, "sum", Reduction::Sum;
    mean, mean_method, "mean", Reduction::Mean;
    min, min_method, "min", Reduction::Min;
    max, max_method, "max", Reduction::Max;
    nanmin, nanmin_method, "nanmin", Reduction::NanMin;
    nanmax, nanmax_method, "nanmax", Reduction::NanMax;
    argmin, argmin_method, "argmin", Reduction::ArgMin;
    argmax, argmax_method, "argmax", Reduction::ArgMax;
    norm, norm_method, "norm", Reduction::Norm;
    all, all_method, "all", Reduction::All;
    any, any_method, "any", Reduction::Any;
}

macro_rules! spreads {
    ($($name:ident, $method:ident, $python:literal, $reduction:expr;)*) => {$(
        function!(
            $name,
            Signature {
                function: $python,
                names: [c"a", c"axis", c"ddof", c"out", c"keepdims"],
                required: 1,
                positional: 2,
            },
            |kind, [a, axis, freedom, out, keepdims]| {
                let reduction = $reduction(ddof(freedom)?);
                reduce(kind, reduction, Operand::read(a, kind)?, &Wish { axis, keepdims, out })
            }
        );

        /// The same as a method.
        pub(crate) unsafe extern "C" fn $method(
            this: *mut ffi::PyObject,
            arguments: *const *mut ffi::PyObject,
            count: ffi::Py_ssize_t,
            keywords: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject {
            const SIGNATURE: Signature<4> = Signature {
                function: $python,
                names: [c"axis", c"ddof", c"out", c"keepdims"],
                required: 0,
                positional: 1,
            };
            // SAFETY: CPython calls this attached, with an instance and its arguments.
            crate::entry::object(|| unsafe {
                let [axis, freedom, out, keepdims] = SIGNATURE.read(arguments, count, keywords)?;
                let (kind, reduction) = (ffi::Py_TYPE(this), $reduction(ddof(freedom)?));
                reduce(kind, reduction, Operand::read(this, kind)?, &Wish { axis, keepdims, out })
            })
        }
    )*};
}

spreads! {
    var, var_method, "var", Reduction::Var;
    std, std_method, "std", Reduction::Std;
}
