//! Named orderings and steps that a test can take away, one in each run of its program.

use std::env;
use std::string::String;
use std::sync::LazyLock;
use std::sync::atomic::Ordering;

macro_rules! acquire {
    ($name:literal) => {
        $crate::weaken::ordering($name, ::core::sync::atomic::Ordering::Acquire)
    };
}
macro_rules! release {
    ($name:literal) => {
        $crate::weaken::ordering($name, ::core::sync::atomic::Ordering::Release)
    };
}
macro_rules! step {
    ($name:literal, $step:expr) => {
        if $crate::weaken::keeps($name) {
            $step
        }
    };
}

pub(crate) use {acquire, release, step};

/// The environment variable that names what is taken away.
pub const VARIABLE: &str = "COVET_QUEUE_WEAKEN";

static WEAKENED: LazyLock<Option<String>> = LazyLock::new(|| env::var(VARIABLE).ok());

/// Returns what is taken away in this process.
pub fn weakened() -> Option<&'static str> {
    WEAKENED.as_deref()
}

pub(crate) fn keeps(name: &str) -> bool {
    weakened() != Some(name)
}

pub(crate) fn ordering(name: &str, strong: Ordering) -> Ordering {
    if keeps(name) {
        strong
    } else {
        Ordering::Relaxed
    }
}
