//! A [`Value`] as a Python expression.

use super::Value;
use std::fmt;

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(value) => write!(f, "{value}"),
            Self::BigInt(bytes) => write_hexadecimal(f, bytes),
            Self::Float(value) => write_float(f, *value),
            Self::Complex(real, imaginary) => {
                f.write_str("complex(")?;
                write_float(f, *real)?;
                f.write_str(", ")?;
                write_float(f, *imaginary)?;
                f.write_str(")")
            }
            Self::Str(text) => write_text(f, text),
            Self::Bytes(data) => write_bytes(f, data),
            Self::ByteArray(data) => {
                f.write_str("bytearray(")?;
                write_bytes(f, data)?;
                f.write_str(")")
            }
            Self::Buffer(data) => {
                f.write_str("Buffer(")?;
                write_bytes(f, data)?;
                f.write_str(")")
            }
            Self::Native(value) => write!(f, "<{} object>", value.type_name()),
            Self::Tuple(items) if items.len() == 1 => write!(f, "({},)", items[0]),
            Self::Tuple(items) => write_items(f, "(", items, ")"),
            Self::List(items) => write_items(f, "[", items, "]"),
            Self::Set(items) if items.is_empty() => f.write_str("set()"),
            Self::Set(items) => write_items(f, "{", items, "}"),
            Self::FrozenSet(items) if items.is_empty() => f.write_str("frozenset()"),
            Self::FrozenSet(items) => write_items(f, "frozenset({", items, "})"),
            Self::Dict(entries) => {
                f.write_str("{")?;
                for (i, (key, value)) in entries.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{key}: {value}")?;
                }
                f.write_str("}")
            }
            Self::Pickle { data, buffers } => {
                f.write_str("pickle.loads(")?;
                write_bytes(f, data)?;
                if !buffers.is_empty() {
                    write_items(f, ", buffers=[", buffers, "]")?;
                }
                f.write_str(")")
            }
        }
    }
}

fn write_items(
    f: &mut fmt::Formatter<'_>,
    open: &str,
    items: &[Value],
    close: &str,
) -> fmt::Result {
    f.write_str(open)?;
    for (i, item) in items.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    f.write_str(close)
}

fn write_float(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    if value.is_finite() {
        write!(f, "{value:?}")
    } else {
        let name = if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        };
        write!(f, "float('{name}')")
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("'")?;
    for c in text.chars() {
        match c {
            '\'' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\x{:02x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("'")
}

fn write_bytes(f: &mut fmt::Formatter<'_>, data: &[u8]) -> fmt::Result {
    write!(
        f,
        "b'{}'",
        data.escape_ascii().to_string().replace("\\\"", "\"")
    )
}

/// In hexadecimal: that takes linear time.
fn write_hexadecimal(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let negative = bytes.last().is_some_and(|&last| last >= 128);
    let mut digits = bytes.to_vec();
    if negative {
        f.write_str("-")?;
        // The magnitude of two's complement: inverted, plus one.
        let mut carry = true;
        for digit in &mut digits {
            (*digit, carry) = (!*digit).overflowing_add(u8::from(carry));
        }
        if carry {
            digits.push(1);
        }
    }
    f.write_str("0x")?;
    let mut leading = true;
    for digit in digits.iter().rev() {
        match (leading, digit) {
            (true, 0) => continue,
            (true, _) => write!(f, "{digit:x}")?,
            (false, _) => write!(f, "{digit:02x}")?,
        }
        leading = false;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Buffer;

    #[test]
    fn values_print_as_python_expressions() {
        for (value, text) in [
            (Value::None, "None"),
            (true.into(), "True"),
            ((-1).into(), "-1"),
            (u64::MAX.into(), "0xffffffffffffffff"),
            (i128::MIN.into(), "-0x80000000000000000000000000000000"),
            (
                (-(1i128 << 100) - 5).into(),
                "-0x10000000000000000000000005",
            ),
            (1e300.into(), "1e300"),
            (f64::NAN.into(), "float('nan')"),
            (f64::NEG_INFINITY.into(), "float('-inf')"),
            (Value::Complex(1.0, -0.0), "complex(1.0, -0.0)"),
            ("it's \\ \n \0 Ω".into(), "'it\\'s \\\\ \\n \\x00 Ω'"),
            (
                vec![0u8, b'a', b'"', b'\'', 255].into(),
                "b'\\x00a\"\\'\\xff'",
            ),
            (Value::ByteArray(vec![]), "bytearray(b'')"),
            (Buffer::from(b"a".to_vec()).into(), "Buffer(b'a')"),
            (Value::Tuple(vec![]), "()"),
            ((1,).into(), "(1,)"),
            ((1, "a").into(), "(1, 'a')"),
            (Value::Set(vec![]), "set()"),
            (Value::Set(vec![1.into()]), "{1}"),
            (Value::FrozenSet(vec![1.into()]), "frozenset({1})"),
            (vec![(Value::from(1), Value::None)].into(), "{1: None}"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }
}
