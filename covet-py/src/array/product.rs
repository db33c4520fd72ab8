//! Products of arrays: of two vectors, and of matrices.

use super::create::function;
use super::dtype::DType;
use super::kernels;
use super::layout::{Shape, View};
use super::operand::{Operand, Output};
use crate::entry::{Kind, raise};
use crate::signature::Signature;
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};

function!(
    /// `dot(a, b)`: of two vectors, a number.
    dot,
    Signature {
        function: "dot",
        names: [c"a", c"b"],
        required: 2,
        positional: 2,
    },
    |kind, [a, b]| {
        let (a, b) = (Operand::read(a, kind)?, Operand::read(b, kind)?);
        if a.view.ndim != 1 || a.view.shape() != b.view.shape() {
            return Err(raise(
                Kind::Value,
                &format!(
                    "dot(): expected two arrays of one dimension and the same length, found shapes {} and {}",
                    a.view.shape().text(),
                    b.view.shape().text()
                ),
            ));
        }
        inner(kind, a, b)
    }
);

/// The dtype of products.
fn product_type(a: &Operand, b: &Operand) -> DType {
    match a.view.dtype.promoted(b.view.dtype) {
        DType::Bool => DType::Int64,
        dtype => dtype,
    }
}

/// The product of two vectors of one length, a Python number.
unsafe fn inner(
    kind: *mut ffi::PyTypeObject,
    mut a: Operand,
    mut b: Operand,
) -> Result<Object, Raised> {
    let dtype = product_type(&a, &b);
    // SAFETY: attached, as promised by the callers; both views have the dtype and one length.
    unsafe {
        a.convert(dtype, kind)?;
        b.convert(dtype, kind)?;
        kernels::dot(&a.view, &b.view).object()
    }
}

function!(
    /// `matmul(a, b, out=None)`
    matmul,
    Signature {
        function: "matmul",
        names: [c"a", c"b", c"out"],
        required: 2,
        positional: 3,
    },
    |kind, [a, b, out]| matmul_of(kind, a, b, out)
);

/// `a @ b`: of matrices a matrix, of a matrix and a vector a vector, of vectors a number.
///
/// # Errors
/// [`Raised`] with `ValueError` for shapes that do not fit; as [`Output::new`].
///
/// # Safety
/// Attached to the interpreter of `kind`, the type of arrays; the objects are alive, `out` or null.
pub(crate) unsafe fn matmul_of(
    kind: *mut ffi::PyTypeObject,
    a: *mut ffi::PyObject,
    b: *mut ffi::PyObject,
    out: *mut ffi::PyObject,
) -> Result<Object, Raised> {
    // SAFETY: as promised; the views have one dtype and shapes that fit, and are kept.
    unsafe {
        let (mut a, mut b) = (Operand::read(a, kind)?, Operand::read(b, kind)?);
        let (left, right) = (as_matrix(&a.view, true), as_matrix(&b.view, false));
        if left.shape[1] != right.shape[0] {
            return Err(raise(
                Kind::Value,
                &format!(
                    "matmul(): expected as many columns of a as rows of b, found shapes {} and {}",
                    a.view.shape().text(),
                    b.view.shape().text()
                ),
            ));
        }
        if a.view.ndim == 1 && b.view.ndim == 1 {
            if !out.is_null() {
                return Err(raise(
                    Kind::Value,
                    "matmul(): expected no out, since the result of two vectors is one number",
                ));
            }
            return inner(kind, a, b);
        }
        let (rows, columns) = (left.shape[0], right.shape[1]);
        let shape = match (a.view.ndim, b.view.ndim) {
            (1, _) => Shape::one(columns),
            (_, 1) => Shape::one(rows),
            _ => Shape::two(rows, columns),
        };
        let dtype = product_type(&a, &b);
        let out = Output::new(kind, out, dtype, shape, &[&a.view, &b.view])?;
        for input in [&a.view, &b.view] {
            if out.view.is_same(input) && out.view.count() > 0 {
                return Err(raise(
                    Kind::Value,
                    "matmul(): expected an out that is none of the operands, which are read until the end",
                ));
            }
        }
        let in_columns = b.view.ndim == 1;
        a.convert(dtype, kind)?;
        b.convert(dtype, kind)?;
        let (left, right) = (as_matrix(&a.view, true), as_matrix(&b.view, false));
        kernels::matmul(&left, &right, &as_matrix(&out.view, !in_columns));
        Ok(out.into_result())
    }
}

/// A vector as the row or the column that it stands for.
fn as_matrix(view: &View, row: bool) -> View {
    match (view.ndim, row) {
        (2, _) => *view,
        (_, true) => View {
            ndim: 2,
            shape: [1, view.shape[0]],
            strides: [0, view.strides[0]],
            ..*view
        },
        (_, false) => View {
            ndim: 2,
            shape: [view.shape[0], 1],
            strides: [view.strides[0], 0],
            ..*view
        },
    }
}
