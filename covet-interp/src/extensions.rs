//! What becomes of extension modules that refuse interpreters with a GIL of their own.

use crate::error::Error;
use std::str::FromStr;

/// How the interpreters of a pool get extension modules that cannot be loaded in them natively.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extensions {
    /// As private images, where a trial has shown that this works; else they are refused.
    #[default]
    Auto,
    /// As private images, without a trial.
    Private,
    /// They are refused.
    Strict,
}

impl FromStr for Extensions {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "auto" => Ok(Self::Auto),
            "private" => Ok(Self::Private),
            "strict" => Ok(Self::Strict),
            _ => Err(Error::Invalid(format!(
                "expected extensions to be \"auto\", \"private\" or \"strict\", found {name:?}"
            ))),
        }
    }
}

impl Extensions {
    /// What `COVET_EXTENSIONS` says, or the default.
    pub(crate) fn from_environment() -> Result<Self, Error> {
        match std::env::var("COVET_EXTENSIONS") {
            Ok(name) if !name.is_empty() => name.parse().map_err(|error| match error {
                Error::Invalid(why) => Error::Invalid(format!("COVET_EXTENSIONS: {why}")),
                other => other,
            }),
            _ => Ok(Self::default()),
        }
    }
}
