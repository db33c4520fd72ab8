//! What a parser is told: the bounds and the leniencies.

use crate::{Limits, Policy};

/// Limits and policy of a parser. By default the [default limits](Limits::DEFAULT), and no leniency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The bounds.
    pub limits: Limits,
    /// The leniencies.
    pub policy: Policy,
}

impl Config {
    /// The default limits, strictly.
    pub const DEFAULT: Self = Self {
        limits: Limits::DEFAULT,
        policy: Policy::STRICT,
    };
}
