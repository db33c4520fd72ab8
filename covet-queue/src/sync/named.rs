//! Named orderings and steps as they are.

macro_rules! acquire {
    ($name:literal) => {
        ::core::sync::atomic::Ordering::Acquire
    };
}
macro_rules! release {
    ($name:literal) => {
        ::core::sync::atomic::Ordering::Release
    };
}
/// A step that a test may leave out.
macro_rules! step {
    ($name:literal, $step:expr) => {
        $step
    };
}

pub(crate) use {acquire, release, step};
